#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include <tartan/distributed/distributed_tensor.hpp>
#include <tartan/distributed/row_sparse.hpp>

namespace tartan {

class GradientTape;

/// A gradient is a logical tensor of its variable's shape, dense or with few rows, in whatever placement was cheapest.
template <class T>
using Gradient = std::variant<DistributedTensor<T>, RowSparse<T>>;

/// A distributed tensor that gradients may flow to. Copies are the same variable. Every rank of the topology's root has
/// it and uses it in the same program order.
template <class T>
class Variable {
 public:
  using value_type = T;

  /// No variable.
  Variable() = default;
  /// A constant: no gradient flows to it.
  Variable(DistributedTensor<T> value) : Variable(std::move(value), false, {}) {}
  /// A parameter: a variable whose gradient is kept until clear_gradient(). Throws Error where the name is empty.
  static Variable parameter(std::string name, DistributedTensor<T> value) {
    if (name.empty()) throw Error("a parameter of " + value.distribution().to_string() + " needs a name");
    return Variable(std::move(value), true, std::move(name));
  }
  /// The result of an operation, for who writes one: gradients flow through it where `requires_gradient`, in the pass
  /// of the tape that records now.
  static Variable result(DistributedTensor<T> value, bool requires_gradient);

  bool is_null() const noexcept { return node_ == nullptr; }
  const DistributedTensor<T>& value() const;
  const Distribution& distribution() const { return value().distribution(); }
  const Shape& shape() const { return value().shape(); }
  const CartesianTopology& topology() const { return value().topology(); }
  /// Writes to the value: every rank calls it. See DistributedTensor::modify.
  template <class F>
  void modify(F&& write) {
    (void)value();
    node_->value.modify(std::forward<F>(write));
  }
  /// Collective where elements have to move, over the root. The value becomes that of `source`, which may lie in any
  /// distribution on any topology with a common root; the variable keeps its own distribution, name and gradient.
  /// Throws Error on every rank where the shapes differ or there is no common root.
  void assign(const DistributedTensor<T>& source);

  /// The parameter's name; empty for others.
  const std::string& name() const;
  bool is_parameter() const { return !name().empty(); }
  bool requires_gradient() const;
  /// Whether gradients flow to it in the pass of `tape`: to parameters in all, to results of operations in one.
  bool is_recorded_by(const GradientTape& tape) const;

  /// What the backward passes since clear_gradient() left, in distribution().gradient(). For parameters.
  bool has_gradient() const;
  const Gradient<T>& gradient() const;
  /// The same, dense.
  DistributedTensor<T> dense_gradient() const;
  void clear_gradient();
  /// The gradient becomes factor times what it is; nothing where there is none. Every rank calls it.
  void scale_gradient(double factor) const;

  /// For operations: adds a contribution to the gradient of the pass that runs; nothing where no gradient is required,
  /// or only in the pass of another tape that still records. Does not communicate. Throws Error where no
  /// tape of this thread that it came from still records. Contributions are added in one placement: where two
  /// differ on an axis, both become Partial there.
  void contribute(Gradient<T> contribution) const;
  /// For operations: ends the sum of this pass's contributions and gives it in distribution().gradient(), or nothing
  /// where none came. Collective where a move is needed.
  std::optional<DistributedTensor<T>> take_contributions() const;
  /// For operations that only move a tensor: hands the sum of this pass's contributions, if any, on to `source`, in
  /// the placement that it has. Communicates only where the two have different topologies.
  void pass_contributions_to(const Variable& source) const;
  /// For tapes: ends the pass of the parameters that it reached. Where `keep`, collective: brings their contributions
  /// home, to distribution().gradient(), those of small parameters together, and adds them to their gradients;
  /// otherwise forgets them.
  static void end_pass(const std::vector<Variable>& reached, bool keep);

 private:
  struct Node {
    DistributedTensor<T> value;
    bool requires_gradient = false;
    std::string name = {};
    std::uint64_t tape = 0;                    ///< the id of the one that recorded it as a result
    std::optional<Gradient<T>> pending = {};   ///< of the pass that runs
    std::optional<Gradient<T>> gradient = {};  ///< of the passes before
  };

  Variable(DistributedTensor<T> value, bool requires_gradient, std::string name)
      : node_(std::make_shared<Node>(Node{std::move(value), requires_gradient, std::move(name)})) {}

  std::shared_ptr<Node> node_;
};

extern template class Variable<float>;
extern template class Variable<double>;
extern template class Variable<bfloat16>;
extern template class Variable<half>;

}  // namespace tartan
