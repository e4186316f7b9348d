#include <tartan/distributed/redistribution.hpp>

#include <variant>

#include <tartan/comm/agreement.hpp>

#include "base/element_types.hpp"
#include "base/fail.hpp"
#include "distributed/cell.hpp"
#include "distributed/planner.hpp"
#include "distributed/transfer.hpp"

namespace tartan {

struct Redistribution::Plan {
  struct Step {
    std::variant<Cell, Transfer> move;
    std::variant<Cell, Transfer> adjoint;
    Distribution before;
    Distribution after;
    Index elements_sent;
  };
  std::vector<Step> steps;
};

Redistribution::Redistribution(Distribution from, Distribution to) : from_(std::move(from)), to_(std::move(to)) {
  require(from_.shape() == to_.shape(), "a tensor of the shape {} cannot take the shape {}: {} -> {}",
          from_.shape().to_string(), to_.shape().to_string(), from_.to_string(), to_.to_string());
  auto plan = std::make_shared<Plan>();
  const auto one_topology = from_.topology() == to_.topology();
  require(one_topology || from_.topology().partition().shares_root_with(to_.topology().partition()),
          "two topologies without a common root cannot exchange a tensor: {} -> {}", from_.to_string(),
          to_.to_string());
  const auto steps = one_topology ? plan_axes(from_, to_) : std::nullopt;
  if (steps) {
    Distribution before = from_;
    for (const auto& step : *steps) {
      const Cell cell(before, step.after, step.axis);
      plan->steps.push_back(
          {cell, cell.adjoint(), before, step.after, tartan::elements_sent(before, step.after, step.axis)});
      before = step.after;
    }
  } else {
    const Transfer transfer(from_, to_);
    plan->steps.push_back({transfer, transfer.adjoint(), from_, to_, -1});
  }
  plan_ = std::move(plan);
}

template <class T>
DistributedTensor<T> Redistribution::apply(const DistributedTensor<T>& x, bool adjoint,
                                           DistributedTensor<T>* into) const {
  const auto domain = adjoint ? to_.dual() : from_;
  const auto range = adjoint ? from_.dual() : to_;
  const char* name = adjoint ? "the adjoint of a redistribution" : "a redistribution";
  require(!x.is_null() && x.distribution() == domain, "{} takes a tensor placed as {}, but got {}", name,
          domain.to_string(), x.is_null() ? "none" : x.distribution().to_string());
  const auto& root = domain.topology().root();
  root.require_usable();
  check_collective(root, [&] { return fmt::format("{} {} -> {}", name, domain.to_string(), range.to_string()); });

  const auto& steps = plan_->steps;
  DistributedTensor<T> current = x;
  for (std::size_t i = 0; i < steps.size(); ++i) {
    const bool last = i + 1 == steps.size();
    const auto& step = steps[adjoint ? steps.size() - 1 - i : i];
    const auto& move = adjoint ? step.adjoint : step.move;
    DistributedTensor<T> next =
        last && into != nullptr ? *into : DistributedTensor<T>(adjoint ? step.before.dual() : step.after);
    next.modify(
        [&](Tensor<T>& out) { std::visit([&](const auto& m) { m.apply(current.local().data(), out.data()); }, move); });
    current = std::move(next);
  }
  if (into == nullptr) return current.viewed_as(range);
  if (steps.empty()) {
    into->modify([&](Tensor<T>& out) { std::ranges::copy(x.local().span(), out.data()); });
  }
  return *into;
}

template <class T>
DistributedTensor<T> Redistribution::forward(const DistributedTensor<T>& x) const {
  return apply<T>(x, false, nullptr);
}

template <class T>
void Redistribution::forward_into(const DistributedTensor<T>& x, DistributedTensor<T>& y) const {
  require(!y.is_null() && y.distribution() == to_, "a redistribution into {} was given a result placed as {}",
          to_.to_string(), y.is_null() ? "none" : y.distribution().to_string());
  require(y.local().elements() == 0 || y.local().data() != x.local().data(),
          "a redistribution was asked to write over its own input");
  apply<T>(x, false, &y);
}

template <class T>
DistributedTensor<T> Redistribution::adjoint(const DistributedTensor<T>& y) const {
  return apply<T>(y, true, nullptr);
}

Index Redistribution::elements_sent() const {
  Index sum = 0;
  for (const auto& step : plan_->steps) {
    sum += step.elements_sent >= 0 ? step.elements_sent : Transfer::elements_sent(step.before, step.after);
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
