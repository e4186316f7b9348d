#include "distributed/cell.hpp"

#include <algorithm>
#include <numeric>
#include <span>
#include <utility>

#include <tartan/tensor/tensor.hpp>

#include "base/element_types.hpp"
#include "base/fail.hpp"
#include "distributed/carrier.hpp"
#include "kernels/boxes.hpp"
#include "kernels/elementwise.hpp"
#include "kernels/on.hpp"

namespace tartan {
namespace {

template <class T>
std::span<T> span_of(T* data, const Box& box) {
  return {data, static_cast<std::size_t>(box.elements())};
}

/// The blocks of a side one after the other: the part itself where they lie so, otherwise a packed copy that lives as
/// long as this object.
template <class T>
class Packed {
 public:
  Packed(Device device, const T* part, const Cell::Side& side, std::size_t elements)
      : copy_{in_order(device, part, side)}, blocks_{side.rows <= 1 ? part : std::as_const(copy_).data(), elements} {}
  std::span<const T> blocks() const { return blocks_; }

 private:
  static Tensor<T> in_order(Device device, const T* part, const Cell::Side& side) {
    if (side.rows <= 1) return {};
    Tensor<T> blocks(Shape{side.rows * std::reduce(side.widths.begin(), side.widths.end())}, device);
    kernels::on(device,
                [&](auto where) { kernels::split_columns(where, part, side.rows, side.widths, blocks.data()); });
    return blocks;
  }

  Tensor<T> copy_;
  std::span<const T> blocks_;
};

/// The inverse: where to receive the blocks of a side, and put() to bring them into the part.
template <class T>
class Unpacked {
 public:
  Unpacked(Device device, T* part, const Cell::Side& side, std::size_t elements)
      : device_{device},
        part_{part},
        side_{side},
        copy_{side.rows <= 1 ? Tensor<T>() : Tensor<T>(Shape{static_cast<Index>(elements)}, device)},
        blocks_{side.rows <= 1 ? part : copy_.data(), elements} {}
  std::span<T> blocks() const { return blocks_; }
  void put() const {
    if (side_.rows <= 1) return;
    kernels::on(device_,
                [&](auto where) { kernels::join_columns(where, copy_.data(), side_.rows, side_.widths, part_); });
  }

 private:
  Device device_;
  T* part_;
  const Cell::Side& side_;
  Tensor<T> copy_;
  std::span<T> blocks_;
};

bool all_equal(const std::vector<Index>& counts) { return std::ranges::count(counts, counts[0]) == std::ssize(counts); }

std::vector<Index> elements_of(const std::vector<Box>& boxes) {
  std::vector<Index> elements;
  for (const auto& box : boxes) elements.push_back(box.elements());
  return elements;
}

}  // namespace

Cell::Side::Side(const Box& mine, const std::vector<Box>& cuts, int dim, bool partly) {
  Box line = mine;
  line[dim] = {0, 1};
  // Where there is no element the product of the other extents may not fit.
  const bool empty = line.empty() || std::ranges::all_of(cuts, [dim](const Box& cut) { return cut[dim].empty(); });
  rows = empty ? 0 : line.shape().elements(0, dim);
  const Index inner = empty ? 0 : line.shape().elements(dim, line.dimensions());
  for (const auto& cut : cuts) {
    widths.push_back(cut[dim].extent() * inner);
    counts.push_back(partly ? rows * widths.back() : cut.elements());
  }
}

Cell::Cell(const Distribution& before, const Distribution& after, int axis)
    : axis_{axis},
      from_{before.placement(axis)},
      to_{after.placement(axis)},
      device_{before.topology().device()},
      communicator_{before.topology().axis(axis)} {
  const auto& topology = before.topology();
  if (!topology.active()) return;
  before_ = before.box(topology.rank());
  after_ = after.box(topology.rank());
  std::vector<Box> sources;
  std::vector<Box> targets;
  for (int coordinate = 0; coordinate < before.grid().extent(axis); ++coordinate) {
    const int position = before.grid().moved(topology.rank(), axis, coordinate);
    sources.push_back(before.box(position));
    targets.push_back(after.box(position));
  }
  const bool both = from_.is_shard() && to_.is_shard();
  if (to_.is_shard()) sent_ = Side(before_, targets, to_.dim(), both);
  if (from_.is_shard()) received_ = Side(after_, sources, from_.dim(), both);
  if (!both) return;
  const auto held = elements_of(sources);
  const auto wanted = elements_of(targets);
  largest_ = std::max(std::ranges::max(held), std::ranges::max(wanted));
  if (all_equal(held) && all_equal(wanted)) even_ = sent_.counts[0];
}

Cell Cell::adjoint() const {
  Cell result = *this;
  result.from_ = to_.dual();
  result.to_ = from_.dual();
  std::swap(result.before_, result.after_);
  std::swap(result.sent_, result.received_);
  return result;
}

template <class T>
void Cell::apply(const T* in, T* out) const {
  if (communicator_.is_null()) return;
  const bool first = communicator_.rank() == 0;
  const auto copy_of = [&](const Box& part) {
    kernels::on(device_, [&](auto where) { kernels::copy_box(where, in, before_, out, after_, part); });
  };
  const auto copy = [&] { copy_of(after_); };
  const auto clear = [&] {
    kernels::on(device_, [&](auto where) { kernels::fill(where, out, after_.elements(), additive_identity<T>()); });
  };
  if (communicator_.size() == 1 && !device_.is_cpu()) return copy();  // before and after are one box

  const auto source = span_of(in, before_);
  const auto target = span_of(out, after_);
  const Carrier carrier{communicator_, device_};
  const auto packed = [&] { return Packed<T>(device_, in, sent_, source.size()); };
  const auto unpacked = [&] { return Unpacked<T>(device_, out, received_, target.size()); };

  using Kind = Placement::Kind;
  switch (from_.kind()) {
    case Kind::shard:
      switch (to_.kind()) {
        case Kind::shard: {
          const auto send = packed();
          const auto receive = unpacked();
          if (even_) {
            carrier.all_to_all(send.blocks(), receive.blocks(), *even_);
          } else {
            carrier.all_to_all(send.blocks(), sent_.counts, receive.blocks(), received_.counts, largest_);
          }
          return receive.put();
        }
        case Kind::replicate: {
          const auto receive = unpacked();
          carrier.all_gather<T>(source, receive.blocks(), received_.counts);
          return receive.put();
        }
        case Kind::root: {
          const auto receive = unpacked();
          carrier.gather<T>(source, receive.blocks(), received_.counts);
          return receive.put();
        }
        case Kind::partial:
          clear();
          return copy_of(before_);
      }
      break;
    case Kind::replicate:
      switch (to_.kind()) {
        case Kind::shard:
        case Kind::replicate:
          return copy();
        case Kind::partial:
          return first ? copy() : clear();
        case Kind::root:
          return first ? copy() : void();
      }
      break;
    case Kind::partial:
      switch (to_.kind()) {
        case Kind::shard:
          return carrier.reduce_scatter(packed().blocks(), target, sent_.counts);
        case Kind::replicate:
          return carrier.all_reduce<T>(source, target);
        case Kind::partial:
          return copy();
        case Kind::root:
          return carrier.reduce<T>(source, target);
      }
      break;
    case Kind::root:
      switch (to_.kind()) {
        case Kind::shard:
          return carrier.scatter(packed().blocks(), target, sent_.counts);
        case Kind::replicate:
          if (first) copy();
          return carrier.broadcast(target);
        case Kind::partial:
          return first ? copy() : clear();
        case Kind::root:
          return copy();
      }
      break;
  }
}

std::string Cell::to_string() const {
  return fmt::format("axis {}: {} -> {}", axis_, from_.to_string(), to_.to_string());
}

#define INSTANTIATE(T) template void Cell::apply<T>(const T*, T*) const;
TARTAN_FOR_EACH_ELEMENT_TYPE(INSTANTIATE)
#undef INSTANTIATE

}  // namespace tartan
