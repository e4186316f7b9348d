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

std::vector<Index> counts_of(const std::vector<Box>& boxes) {
  std::vector<Index> counts;
  for (const auto& box : boxes) counts.push_back(box.elements());
  return counts;
}

/// Blocks of dimension `dim` of `whole` follow each other in memory.
bool consecutive(const Box& whole, int dim) {
  Index outer = 1;
  for (int d = 0; d < dim; ++d) outer *= whole[d].extent();
  return outer <= 1;
}

/// What `whole` shares with each of `boxes`.
std::vector<Box> parts_of(const Box& whole, const std::vector<Box>& boxes) {
  std::vector<Box> parts;
  for (const auto& box : boxes) parts.push_back(intersect(whole, box));
  return parts;
}

/// The `parts` (cut along `dim`) of the buffer `data` of `whole`, one after the other: the buffer itself where they lie
/// so, otherwise a packed copy that lives as long as this object.
template <class T>
class Packed {
 public:
  Packed(const T* data, const Box& whole, const std::vector<Box>& parts, int dim) : data_{data} {
    if (consecutive(whole, dim)) return;
    copy_ = Tensor<T>(Shape{whole.elements()});
    T* target = copy_.data();
    for (const auto& part : parts) {
      copy_box(data, whole, target, part, part);
      target += part.elements();
    }
    data_ = copy_.data();
  }
  const T* data() const { return data_; }

 private:
  Tensor<T> copy_;
  const T* data_;
};

/// The inverse: where to receive `parts` of `whole` one after the other, and put() to bring them into `data`.
template <class T>
class Unpacked {
 public:
  Unpacked(T* data, const Box& whole, const std::vector<Box>& parts, int dim)
      : data_{data}, whole_{whole}, parts_{parts}, direct_{consecutive(whole, dim)} {
    if (!direct_) copy_ = Tensor<T>(Shape{whole.elements()});
  }
  T* data() { return direct_ ? data_ : copy_.data(); }
  void put() {
    if (direct_) return;
    const T* source = copy_.data();
    for (const auto& part : parts_) {
      copy_box(source, part, data_, whole_, part);
      source += part.elements();
    }
  }

 private:
  T* data_;
  const Box& whole_;
  const std::vector<Box>& parts_;
  bool direct_;
  Tensor<T> copy_;
};

}  // namespace

Cell::Cell(const Distribution& before, const Distribution& after, int axis)
    : axis_{axis},
      from_{before.placement(axis)},
      to_{after.placement(axis)},
      communicator_{before.topology().axis(axis)} {
  const auto& topology = before.topology();
  if (!topology.active()) return;
  for (int coordinate = 0; coordinate < before.grid().extent(axis); ++coordinate) {
    const int position = before.grid().moved(topology.rank(), axis, coordinate);
    before_.push_back(before.box(position));
    after_.push_back(after.box(position));
  }
}

Cell Cell::adjoint() const {
  Cell result = *this;
  result.from_ = to_.dual();
  result.to_ = from_.dual();
  std::swap(result.before_, result.after_);
  return result;
}

template <class T>
void Cell::apply(const T* in, T* out) const {
  if (communicator_.is_null()) return;
  const auto me = static_cast<std::size_t>(communicator_.rank());
  const Box& mine = before_[me];
  const Box& result = after_[me];
  const auto source = span_of(in, mine);
  const auto target = span_of(out, result);
  const auto copy = [&] { std::ranges::copy(source, out); };
  const auto clear = [&] { std::ranges::fill(target, additive_identity<T>()); };

  using Kind = Placement::Kind;
  switch (from_.kind()) {
    case Kind::shard:
      switch (to_.kind()) {
        case Kind::shard: {
          const auto sent = parts_of(mine, after_);
          const auto received = parts_of(result, before_);
          const Packed<T> packed(in, mine, sent, to_.dim());
          Unpacked<T> unpacked(out, result, received, from_.dim());
          const Index largest = std::max(std::ranges::max(counts_of(before_)), std::ranges::max(counts_of(after_)));
          communicator_.all_to_all(std::span<const T>(packed.data(), source.size()), counts_of(sent),
                                   span_of(unpacked.data(), result), counts_of(received), largest);
          return unpacked.put();
        }
        case Kind::replicate: {
          Unpacked<T> unpacked(out, result, before_, from_.dim());
          communicator_.all_gather(source, span_of(unpacked.data(), result), counts_of(before_));
          return unpacked.put();
        }
        case Kind::root: {
          Unpacked<T> unpacked(out, result, before_, from_.dim());
          communicator_.gather(source, span_of(unpacked.data(), result), counts_of(before_), 0);
          return unpacked.put();
        }
        case Kind::partial:
          clear();
          return copy_box(in, mine, out, result, mine);
      }
      break;
    case Kind::replicate:
      switch (to_.kind()) {
        case Kind::shard:
          return copy_box(in, mine, out, result, result);
        case Kind::replicate:
          return copy();
        case Kind::partial:
          return me == 0 ? copy() : clear();
        case Kind::root:
          return me == 0 ? copy() : void();
      }
      break;
    case Kind::partial:
      switch (to_.kind()) {
        case Kind::shard: {
          const Packed<T> packed(in, mine, after_, to_.dim());
          return communicator_.reduce_scatter(std::span<const T>(packed.data(), source.size()), target,
                                              counts_of(after_));
        }
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
        case Kind::shard: {
          const Packed<T> packed(in, mine, after_, to_.dim());
          return communicator_.scatter(std::span<const T>(packed.data(), source.size()), target, counts_of(after_), 0);
        }
        case Kind::replicate:
          if (me == 0) copy();
          return communicator_.broadcast(target, 0);
        case Kind::partial:
          return me == 0 ? copy() : clear();
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
