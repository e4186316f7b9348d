#include <tartan/distributed/redistribution.hpp>

#include <variant>

#include <tartan/comm/agreement.hpp>

#include "base/element_types.hpp"
#include "base/fail.hpp"
#include "distributed/cell.hpp"
#include "distributed/planner.hpp"
#include "distributed/transfer.hpp"
#include "kernels/boxes.hpp"
#include "kernels/on.hpp"
#include "partition/plan_cache.hpp"

namespace tartan {

struct Redistribution::Plan {
  struct Step {
    std::variant<Cell, Transfer> move;
    Index elements_before;  ///< of this rank
    Index elements_after;
    Index elements_sent;  ///< by all ranks; of a Transfer, counted where it is asked for
  };
  std::vector<Step> steps;

  static std::shared_ptr<const Plan> make(const Distribution& from, const Distribution& to);

  /// Collective where a step is: brings `x` into `y`.
  template <class T>
  void run(const Tensor<T>& x, bool adjoint, Tensor<T>& y) const;
};

std::shared_ptr<const Redistribution::Plan> Redistribution::Plan::make(const Distribution& from,
                                                                       const Distribution& to) {
  const auto one_topology = from.topology() == to.topology();
  require(one_topology || from.topology().partition().shares_root_with(to.topology().partition()),
          "two topologies without a common root cannot exchange a tensor: {} -> {}", from, to);
  auto plan = std::make_shared<Plan>();
  const auto steps = one_topology ? plan_axes(from, to) : std::nullopt;
  if (!steps) {
    plan->steps.push_back({Transfer(from, to), 0, 0, -1});
    return plan;
  }
  const int me = from.topology().rank();
  Distribution before = from;
  for (const auto& step : *steps) {
    plan->steps.push_back({Cell(before, step.after, step.axis), before.box(me).elements(),
                           step.after.box(me).elements(), tartan::elements_sent(before, step.after, step.axis)});
    before = step.after;
  }
  return plan;
}

template <class T>
void Redistribution::Plan::run(const Tensor<T>& x, bool adjoint, Tensor<T>& y) const {
  if (steps.empty()) {
    kernels::on(y.device(), [&](auto where) {
      const Box box(x.shape());
      kernels::copy_box(where, x.data(), box, y.data(), box, box);
    });
  }
  Tensor<T> current = x;
  for (std::size_t i = 0; i < steps.size(); ++i) {
    const auto& step = steps[adjoint ? steps.size() - 1 - i : i];
    // Moves of several steps stay on one topology, and so on one device.
    Tensor<T> next =
        i + 1 == steps.size() ? y : Tensor<T>(Shape{adjoint ? step.elements_before : step.elements_after}, y.device());
    const T* in = std::as_const(current).data();
    std::visit([&](const auto& move) { adjoint ? move.adjoint().apply(in, next.data()) : move.apply(in, next.data()); },
               step.move);
    current = std::move(next);
  }
}

namespace {

/// What every application verifies before its first message.
template <class T>
void enter(const DistributedTensor<T>& x, const Distribution& domain, const Distribution& range, const char* name) {
  require(!x.is_null(), "{} takes a tensor placed as {}, but got none", name, domain);
  require(x.distribution() == domain, "{} takes a tensor placed as {}, but got {}", name, domain, x.distribution());
  const auto& root = domain.topology().root();
  if (root.is_null()) return;
  root.require_usable();
  if (checks() != Checks::collective) return;
  check_collective(root, [&] { return fmt::format("{} {} -> {}", name, domain.to_string(), range.to_string()); });
}

}  // namespace

Redistribution::Redistribution(Distribution from, Distribution to) : from_(std::move(from)), to_(std::move(to)) {
  require(from_.shape() == to_.shape(), "a tensor of the shape {} cannot take the shape {}: {} -> {}", from_.shape(),
          to_.shape(), from_, to_);
  auto& plans = from_.topology().plans();
  plan_ = std::static_pointer_cast<const Plan>(plans.find(from_, to_));
  if (plan_) return;
  plan_ = Plan::make(from_, to_);
  plans.add(from_, to_, plan_);
}

template <class T>
DistributedTensor<T> Redistribution::apply(const DistributedTensor<T>& x, const Distribution& domain,
                                           const Distribution& range, bool adjoint) const {
  enter(x, domain, range, adjoint ? "the adjoint of a redistribution" : "a redistribution");
  if (plan_->steps.empty()) return x.viewed_as(range);
  DistributedTensor<T> y(range);
  y.modify([&](Tensor<T>& out) { plan_->run(x.local(), adjoint, out); });
  return y;
}

template <class T>
DistributedTensor<T> Redistribution::forward(const DistributedTensor<T>& x) const {
  return apply(x, from_, to_, false);
}

template <class T>
void Redistribution::forward_into(const DistributedTensor<T>& x, DistributedTensor<T>& y) const {
  require(!y.is_null(), "a redistribution into {} was given no result", to_);
  require(y.distribution() == to_, "a redistribution into {} was given a result placed as {}", to_, y.distribution());
  require(y.local().elements() == 0 || y.local().data() != x.local().data(),
          "a redistribution was asked to write over its own input");
  enter(x, from_, to_, "a redistribution");
  y.modify([&](Tensor<T>& out) { plan_->run(x.local(), false, out); });
}

template <class T>
DistributedTensor<T> Redistribution::adjoint(const DistributedTensor<T>& y) const {
  return apply(y, to_.dual(), from_.dual(), true);
}

Index Redistribution::elements_sent() const {
  Index sum = 0;
  for (const auto& step : plan_->steps) {
    sum = checked_add(sum, step.elements_sent >= 0 ? step.elements_sent : Transfer::elements_sent(from_, to_));
  }
  return sum;
}

std::string Redistribution::to_string() const {
  std::vector<std::string> texts;
  for (const auto& step : plan_->steps) {
    texts.push_back(std::visit([](const auto& move) { return move.to_string(); }, step.move));
  }
  return texts.empty() ? "nothing moves" : fmt::format("{}", fmt::join(texts, "; "));
}

#define INSTANTIATE(T)                                                                                  \
  template DistributedTensor<T> Redistribution::forward(const DistributedTensor<T>&) const;             \
  template void Redistribution::forward_into(const DistributedTensor<T>&, DistributedTensor<T>&) const; \
  template DistributedTensor<T> Redistribution::adjoint(const DistributedTensor<T>&) const;
TARTAN_FOR_EACH_ELEMENT_TYPE(INSTANTIATE)
#undef INSTANTIATE

}  // namespace tartan
