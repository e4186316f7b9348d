#pragma once

#include <vector>

#include <tartan/autograd/variable.hpp>

namespace tartan {

/// Changes parameters by their gradients. State is laid out like its parameter, and the result does not depend on the
/// grid. A row-sparse gradient changes the rows it names only. Nothing communicates unless an optimiser says so. Steps
/// are computed, and state is kept, in the accumulator of T: float for bfloat16 and half, whose weights are rounded
/// once in a step (a step of less than half of a weight's last bit leaves it as it is).
template <class T>
class Optimizer {
 public:
  virtual ~Optimizer() = default;
  // A copy would share the state's elements with the original.
  Optimizer(const Optimizer&) = delete;
  Optimizer& operator=(const Optimizer&) = delete;
  Optimizer(Optimizer&&) noexcept = default;
  Optimizer& operator=(Optimizer&&) noexcept = default;

  /// One step with the gradients that the parameters have; those without one stay as they are. Every rank calls it.
  /// Throws Error, before anything changes, on a gradient that the optimiser does not take.
  void step();
  /// Forgets the gradients of all parameters.
  void clear_gradients();

  double learning_rate() const noexcept { return learning_rate_; }
  /// Throws Error where it is negative, infinite or no number.
  void set_learning_rate(double learning_rate);
  const std::vector<Variable<T>>& parameters() const noexcept { return parameters_; }
  /// How many steps each parameter has had.
  const std::vector<Index>& steps() const noexcept { return steps_; }
  /// Training that goes on where another optimiser stopped: it needs the parameters, the state that an optimiser shows
  /// (redistribute_into writes to it), these numbers and the learning rate. Every rank calls it alike. Throws Error
  /// unless there is a number of at least 0 for each parameter.
  void set_steps(std::vector<Index> steps);

 protected:
  /// Throws Error where there is no parameter, a variable is none, a Partial one or given twice, two have one name, or
  /// the learning rate is negative, infinite or no number.
  Optimizer(std::vector<Variable<T>> parameters, double learning_rate);

  /// Throws Error unless the gradient of parameter `i` is one that update() takes.
  virtual void check([[maybe_unused]] std::size_t i) const {}
  /// Changes parameter `i`, which has a gradient, and its state, in its step number steps()[i], from 1.
  virtual void update(std::size_t i) = 0;
  /// One tensor per parameter, laid out like it, of `value`.
  std::vector<DistributedTensor<Accumulator<T>>> state(double value) const;

 private:
  std::vector<Variable<T>> parameters_;
  std::vector<Index> steps_ = std::vector<Index>(parameters_.size());
  double learning_rate_;
};

struct SgdOptions {
  double learning_rate = 0.01;
  double momentum = 0;      ///< the part of the last step that goes on, at least 0
  double dampening = 0;     ///< of the gradient's part in the momentum
  double weight_decay = 0;  ///< at least 0
  bool nesterov = false;    ///< needs momentum and no dampening
};

/// Stochastic gradient descent as PyTorch's SGD has it: g = gradient + weight_decay · weight; with momentum, b =
/// momentum · b + (1 - dampening) · g (b = g in the first step) takes the place of g, or g + momentum · b with
/// nesterov; weight -= learning_rate · g. A row-sparse gradient with momentum or weight decay is an Error that names
/// both.
template <class T>
class Sgd : public Optimizer<T> {
 public:
  /// Throws Error on options outside of their ranges.
  explicit Sgd(std::vector<Variable<T>> parameters, SgdOptions options = {});

  /// One per parameter, laid out like it; none where momentum is 0.
  const std::vector<DistributedTensor<Accumulator<T>>>& momentum() const noexcept { return momentum_; }

 private:
  void check(std::size_t i) const override;
  void update(std::size_t i) override;

  SgdOptions options_;
  std::vector<DistributedTensor<Accumulator<T>>> momentum_;
};

struct AdagradOptions {
  double learning_rate = 0.01;
  double epsilon = 1e-10;  ///< at least 0, added to the root
  double initial_accumulator = 0;
  /// Of RowwiseAdagrad: the squares of a row are added by leaves of 32 columns (tartan/distributed/leaves.hpp), so that
  /// the bits do not depend on how the columns are split.
  bool reproducible = false;
};

/// sum += gradient²; weight -= learning_rate · gradient / (sqrt(sum) + epsilon), element by element.
/// Duchi, Hazan, Singer: Adaptive subgradient methods for online learning and stochastic optimization. JMLR 12, 2011.
template <class T>
class Adagrad : public Optimizer<T> {
 public:
  /// Throws Error on an option that is negative or no number.
  explicit Adagrad(std::vector<Variable<T>> parameters, AdagradOptions options = {});
  /// The sums of squares, in the order and the distributions of the parameters.
  const std::vector<DistributedTensor<Accumulator<T>>>& sums() const noexcept { return sums_; }

 private:
  void update(std::size_t i) override;

  AdagradOptions options_;
  std::vector<DistributedTensor<Accumulator<T>>> sums_;
};

/// Adagrad with one sum per row of a (V, D) table, FBGEMM's exact row-wise rule: sum += mean of gradient² over the
/// whole row; weight -= learning_rate · gradient / (sqrt(sum) + epsilon). Its state is D times smaller than Adagrad's.
/// A step is collective: one all-reduce of a number per changed row along the axes that split the columns, or, where
/// reproducible, one all-gather of a number per changed row and leaf.
template <class T>
class RowwiseAdagrad : public Optimizer<T> {
 public:
  /// Throws Error on an option that is negative or no number, where a parameter is not 2-d, and with `reproducible`
  /// where blocks of columns cut leaves.
  explicit RowwiseAdagrad(std::vector<Variable<T>> parameters, AdagradOptions options = {});

  /// One (V) per parameter: placed as its rows are, Replicate along axes that split the columns.
  const std::vector<DistributedTensor<Accumulator<T>>>& sums() const noexcept { return sums_; }

 private:
  void update(std::size_t i) override;

  AdagradOptions options_;
  std::vector<DistributedTensor<Accumulator<T>>> sums_;
};

struct AdamOptions {
  double learning_rate = 0.001;
  double beta1 = 0.9;    ///< in [0, 1)
  double beta2 = 0.999;  ///< in [0, 1)
  double epsilon = 1e-8;
};

/// Adam (Kingma, Ba 2015) as PyTorch has it: m = beta1 · m + (1 - beta1) · g, v = beta2 · v + (1 - beta2) · g², and
/// in step n of the parameter, weight -= learning_rate / (1 - beta1^n) · m / (sqrt(v / (1 - beta2^n)) + epsilon). A
/// row-sparse gradient changes m, v and weight of its rows only, by the rule of PyTorch's SparseAdam: weight -=
/// learning_rate · sqrt(1 - beta2^n) / (1 - beta1^n) · m / (sqrt(v) + epsilon). The two rules differ; whether a
/// gradient is row-sparse is the layer's choice (EmbeddingLayerOptions::sparse) and does not depend on the grid.
template <class T>
class Adam : public Optimizer<T> {
 public:
  /// Throws Error on options outside of their ranges.
  explicit Adam(std::vector<Variable<T>> parameters, AdamOptions options = {});

  /// m, one per parameter, laid out like it.
  const std::vector<DistributedTensor<Accumulator<T>>>& first_moments() const noexcept { return first_; }
  /// v, likewise.
  const std::vector<DistributedTensor<Accumulator<T>>>& second_moments() const noexcept { return second_; }

 private:
  void update(std::size_t i) override;

  AdamOptions options_;
  std::vector<DistributedTensor<Accumulator<T>>> first_;
  std::vector<DistributedTensor<Accumulator<T>>> second_;
};

}  // namespace tartan
