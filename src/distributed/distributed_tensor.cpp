#include <tartan/distributed/distributed_tensor.hpp>

#include <algorithm>
#include <array>

#include <tartan/comm/agreement.hpp>
#include <tartan/distributed/redistribution.hpp>

#include "base/element_types.hpp"
#include "base/fail.hpp"

namespace tartan {
namespace {

/// FNV-1a over the bytes, in 63 bits.
template <class T>
std::int64_t hash_of(std::span<const T> values) {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const auto byte : std::as_bytes(values)) hash = (hash ^ static_cast<std::uint64_t>(byte)) * 0x100000001b3;
  return static_cast<std::int64_t>(hash >> 1);
}

Placements everywhere(const Distribution& distribution, Placement placement) {
  return Placements(distribution.placements().size(), placement);
}

void require_shape(const Shape& shape, const Shape& expected, const Distribution& distribution) {
  require(shape == expected, "a tensor of the shape {} was given where {} is needed for {}", shape, expected,
          distribution);
}

/// `tensor`, or a copy of it where it lies in the memory of `other`.
template <class T>
DistributedTensor<T> apart_from(const DistributedTensor<T>& tensor, const Tensor<T>& other) {
  return tensor.local().elements() > 0 && tensor.local().data() == other.data() ? tensor.clone() : tensor;
}

/// Collective over the active ranks: `check`, which may throw, where they all name the same distribution.
template <class Check>
void alike(const Distribution& distribution, const Check& check) {
  if (!distribution.topology().active()) return;
  std::exception_ptr error;
  try {
    check();
  } catch (...) {
    error = std::current_exception();
  }
  agree(distribution.topology().communicator(), error, "the distribution of a tensor", distribution.to_string());
}

}  // namespace

template <class T>
DistributedTensor<T>::DistributedTensor(Distribution distribution) : distribution_(std::move(distribution)) {
  local_ = Tensor<T>(distribution_.local_shape(distribution_.topology().rank()), distribution_.topology().device());
  state_ = std::make_shared<State>();
}

template <class T>
void DistributedTensor<T>::adopt(Tensor<T> local) {
  state_ = std::make_shared<State>();
  local_ = local.to(distribution_.topology().device());
  const bool copied = local_.device() != local.device();
  if (copied && local.device().is_cpu() && std::is_integral_v<T>)
    state_->host = std::pair(state_->version, local.clone());
}

template <class T>
DistributedTensor<T> DistributedTensor<T>::constant(Distribution distribution, T value) {
  const bool sum = distribution.any(Placement::Kind::partial);
  if (sum && value != T{}) return from_function(std::move(distribution), [=](auto) { return value; });
  DistributedTensor result(std::move(distribution));
  result.local_.fill(sum ? additive_identity<T>() : value);
  return result;
}

template <class T>
DistributedTensor<T> DistributedTensor<T>::from_local(Distribution distribution, Tensor<T> local, LocalCheck check) {
  const auto& topology = distribution.topology();
  if (check != LocalCheck::none) {
    alike(distribution, [&] { require_shape(local.shape(), distribution.local_shape(topology.rank()), distribution); });
  }
  DistributedTensor result;
  result.distribution_ = std::move(distribution);
  result.adopt(std::move(local));
  if (check == LocalCheck::shapes && checks() == Checks::collective) check = LocalCheck::replicas;
  if (check == LocalCheck::replicas && result.topology().active()) {
    const auto& d = result.distribution_;
    const auto part = result.local_on_host();
    const auto hash = hash_of(std::as_const(part).span());
    bool equal = true;
    for (int axis = 0; axis < d.grid().axes(); ++axis) {
      if (!d.placement(axis).is_replicate() || d.grid().extent(axis) == 1) continue;
      std::array<std::int64_t, 2> bounds{hash, -hash};
      d.topology().axis(axis).all_reduce(std::span<const std::int64_t>(bounds), std::span<std::int64_t>(bounds),
                                         Reduction::max);
      equal = equal && bounds[0] == -bounds[1];
    }
    collectively(d.topology().communicator(),
                 [&] { require(equal, "the copies of a tensor differ along a Replicate axis of {}", d); });
  }
  return result;
}

template <class T>
DistributedTensor<T> DistributedTensor<T>::from_root(Distribution distribution, const Tensor<T>& full) {
  const auto& topology = distribution.topology();
  const auto source = distribution.with(everywhere(distribution, Root{}), {});
  const bool mine = source.holds(topology.rank());
  alike(distribution, [&] {
    if (mine) require_shape(full.shape(), distribution.shape(), distribution);
  });
  const auto held = mine ? full : Tensor<T>(source.local_shape(topology.rank()));
  return apart_from(redistribute(from_local(source, held, LocalCheck::none), distribution), full);
}

template <class T>
DistributedTensor<T> DistributedTensor<T>::from_replicated(Distribution distribution, const Tensor<T>& full) {
  const auto& topology = distribution.topology();
  alike(distribution, [&] { require_shape(full.shape(), distribution.shape(), distribution); });
  const auto source = distribution.with(everywhere(distribution, Replicate{}), {});
  const auto held = topology.active() ? full : Tensor<T>(source.local_shape(-1));
  return apart_from(redistribute(from_local(source, held, LocalCheck::none), distribution), full);
}

template <class T>
Box DistributedTensor<T>::box() const {
  return distribution_.box(topology().rank());
}

template <class T>
bool DistributedTensor<T>::holds() const {
  return distribution_.holds(topology().rank());
}

template <class T>
const Tensor<T>& DistributedTensor<T>::local() const {
  require_state();
  return local_;
}

template <class T>
bool DistributedTensor<T>::is_on_host() const {
  require_state();
  const auto& host = state_->host;
  return local_.device().is_cpu() ||
         (host && host->first == state_->version && host->second.elements() == local_.elements());
}

template <class T>
Tensor<T> DistributedTensor<T>::local_on_host() const {
  if (is_on_host()) return local_.device().is_cpu() ? local_ : state_->host->second.reshaped(local_.shape());
  auto& host = state_->host;
  auto part = local_.to(Device{});
  if (std::is_integral_v<T>) host = std::pair(state_->version, part);
  return part;
}

template <class T>
Tensor<T> DistributedTensor<T>::full_tensor() const {
  require_state();
  return apart_from(redistribute(*this, distribution_.with(everywhere(distribution_, Replicate{}), {})), local_)
      .local_on_host();
}

template <class T>
Tensor<T> DistributedTensor<T>::to_root() const {
  require_state();
  return apart_from(redistribute(*this, distribution_.with(everywhere(distribution_, Root{}), {})), local_)
      .local_on_host();
}

template <class T>
DistributedTensor<T> DistributedTensor<T>::clone() const {
  require_state();
  return from_local(distribution_, local_.clone(), LocalCheck::none);
}

template <class T>
DistributedTensor<T> DistributedTensor<T>::viewed_as(Distribution distribution) const {
  require_state();
  const auto shape = distribution.local_shape(distribution.topology().rank());
  require(distribution.topology() == topology() && shape.elements() == local_.elements(),
          "a tensor placed as {} cannot be viewed as {}", distribution_, distribution);
  DistributedTensor result;
  result.local_ = local_.reshaped(shape);
  result.distribution_ = std::move(distribution);
  result.state_ = state_;
  return result;
}

template <class T>
std::optional<std::pair<T, T>> DistributedTensor<T>::local_range() const {
  if (local().elements() == 0) return std::nullopt;
  const auto part = local_on_host();
  const auto [least, greatest] = std::ranges::minmax(std::as_const(part).span());
  return std::pair(least, greatest);
}

template <class T>
bool DistributedTensor<T>::is_checked(std::span<const Index> bounds) const noexcept {
  return state_ && state_->checked && state_->checked->first == state_->version &&
         std::ranges::equal(state_->checked->second, bounds);
}

template <class T>
void DistributedTensor<T>::set_checked(std::span<const Index> bounds) const {
  if (state_) state_->checked = std::pair(state_->version, std::vector(bounds.begin(), bounds.end()));
}

template <class T>
void DistributedTensor<T>::require_state() const {
  require(state_ != nullptr,
          "a DistributedTensor without elements is used: make one by DistributedTensor(distribution), zeros, constant, "
          "from_function, from_local, from_root or from_replicated, or assign one");
}

#define INSTANTIATE(T) template class DistributedTensor<T>;
TARTAN_FOR_EACH_ELEMENT_TYPE(INSTANTIATE)
#undef INSTANTIATE

}  // namespace tartan
