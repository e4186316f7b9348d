#include "distributed/cell.hpp"

#include <algorithm>
#include <span>

#include <tartan/tensor/tensor.hpp>

#include "base/element_types.hpp"
#include "base/fail.hpp"
#include "tensor/boxes.hpp"

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
  Packed(const T* part, const Cell::Side& side, std::size_t elements) : blocks_{part, elements} {
    if (side.rows <= 1) return;
    copy_ = Tensor<T>(Shape{std::ssize(blocks_)});
    split_columns(part, side.rows, side.widths, copy_.data());
    blocks_ = std::as_const(copy_).span();
  }
  std::span<const T> blocks() const { return blocks_; }

 private:
  Tensor<T> copy_;
  std::span<const T> blocks_;
};

/// The inverse: where to receive the blocks of a side, and put() to bring them into the part.
template <class T>
class Unpacked {
 public:
  Unpacked(T* part, const Cell::Side& side, std::size_t elements) : part_{part}, side_{side}, blocks_{part, elements} {
    if (side.rows <= 1) return;
    copy_ = Tensor<T>(Shape{std::ssize(blocks_)});
    blocks_ = copy_.span();
  }
  std::span<T> blocks() const { return blocks_; }
  void put() const {
    if (blocks_.data() != part_) join_columns(std::as_const(copy_).data(), side_.rows, side_.widths, part_);
  }

 private:
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
  const auto source = span_of(in, before_);
  const auto target = span_of(out, after_);
  const auto copy = [&] { copy_box(in, before_, out, after_, after_); };
  const auto clear = [&] { std::ranges::fill(target, additive_identity<T>()); };
  const auto packed = [&] { return Packed<T>(in, sent_, source.size()); };
  const auto unpacked = [&] { return Unpacked<T>(out, received_, target.size()); };

  using Kind = Placement::Kind;
  switch (from_.kind()) {
    case Kind::shard:
      switch (to_.kind()) {
        case Kind::shard: {
          const auto send = packed();
          const auto receive = unpacked();
          if (even_) {
            communicator_.all_to_all(send.blocks(), receive.blocks(), *even_);
          } else {
            communicator_.all_to_all(send.blocks(), sent_.counts, receive.blocks(), received_.counts, largest_);
          }
          return receive.put();
        }
        case Kind::replicate: {
          const auto receive = unpacked();
          communicator_.all_gather(source, receive.blocks(), received_.counts);
          return receive.put();
        }
        case Kind::root: {
          const auto receive = unpacked();
          communicator_.gather(source, receive.blocks(), received_.counts, 0);
          return receive.put();
        }
        case Kind::partial:
          clear();
          return copy_box(in, before_, out, after_, before_);
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
          return communicator_.reduce_scatter(packed().blocks(), target, sent_.counts);
        case Kind::replicate:
          return communicator_.all_reduce(source, target);
        case Kind::partial:
          return copy();
        case Kind::root:
          return communicator_.reduce(source, target, 0);
      }
      break;
    case Kind::root:
      switch (to_.kind()) {
        case Kind::shard:
          return communicator_.scatter(packed().blocks(), target, sent_.counts, 0);
        case Kind::replicate:
          if (first) copy();
          return communicator_.broadcast(target, 0);
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
