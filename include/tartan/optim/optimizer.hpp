#pragma once

#include <vector>

#include <tartan/autograd/variable.hpp>

namespace tartan {

/// Changes parameters by their gradients. State is laid out like its parameter; nothing communicates, and the result
/// does not depend on the grid. A row-sparse gradient changes the rows it names only.
template <class T>
class Optimizer {
 public:
  virtual ~Optimizer() = default;

  /// One step with the gradients that the parameters have; those without one stay as they are. Every rank calls it.
  virtual void step() = 0;
  /// Forgets the gradients of all parameters.
  void clear_gradients() {
    for (auto& parameter : parameters_) parameter.clear_gradient();
  }

 protected:
  /// Throws Error where one is no parameter, or a Partial one.
  explicit Optimizer(std::vector<Variable<T>> parameters);

  std::vector<Variable<T>> parameters_;
};

struct SgdOptions {
  double learning_rate = 0.01;  ///< positive or zero
};

/// weight -= learning_rate · gradient
template <class T>
class Sgd : public Optimizer<T> {
 public:
  /// Throws Error on a learning rate that is negative or no number.
  explicit Sgd(std::vector<Variable<T>> parameters, SgdOptions options = {});
  void step() override;
  void set_learning_rate(double learning_rate);
  const SgdOptions& options() const noexcept { return options_; }

 private:
  SgdOptions options_;
};

struct AdagradOptions {
  double learning_rate = 0.01;  ///< positive or zero
  double epsilon = 1e-10;       ///< positive or zero, added to the root
  double initial_accumulator = 0;
};

/// sum += gradient²; weight -= learning_rate · gradient / (sqrt(sum) + epsilon), element by element.
/// Duchi, Hazan, Singer: Adaptive subgradient methods for online learning and stochastic optimization. JMLR 12, 2011.
template <class T>
class Adagrad : public Optimizer<T> {
 public:
  /// Throws Error on an option that is negative or no number.
  explicit Adagrad(std::vector<Variable<T>> parameters, AdagradOptions options = {});
  void step() override;
  void set_learning_rate(double learning_rate);
  const AdagradOptions& options() const noexcept { return options_; }
  /// The sums of squares, in the order and the distributions of the parameters.
  const std::vector<DistributedTensor<T>>& sums() const noexcept { return sums_; }

 private:
  AdagradOptions options_;
  std::vector<DistributedTensor<T>> sums_;
};

}  // namespace tartan
