#include <algorithm>
#include <numeric>
#include <optional>
#include <utility>

#include <tartan/comm/agreement.hpp>
#include <tartan/distributed/redistribution.hpp>

#include "base/element_types.hpp"
#include "base/fail.hpp"
#include "distributed/cell.hpp"
#include "distributed/planner.hpp"
#include "kernels/boxes.hpp"
#include "kernels/on.hpp"

namespace tartan {
namespace {

constexpr Index most_bytes = Index{256} * 1024;

/// What tensors that travel together have in common.
struct Way {
  int axis;
  Placement from;
  Placement to;
  friend bool operator==(const Way&, const Way&) = default;
};

std::optional<Way> way(const Distribution& from, const Distribution& to, Index bytes) {
  if (bytes > most_bytes || !(from.topology() == to.topology())) return std::nullopt;
  const auto steps = plan_axes(from, to);
  if (!steps || steps->size() != 1) return std::nullopt;
  const int axis = steps->front().axis;
  const Way result{axis, from.placement(axis), to.placement(axis)};
  const auto by_rows = [](Placement p) { return !p.is_shard() || p.is_shard(0); };
  const bool local = result.from.is_replicate() || (result.to.is_partial() && !result.from.is_partial());
  if (local || !by_rows(result.from) || !by_rows(result.to)) return std::nullopt;
  return result;
}

/// All parts of the ranks of one group, one after the other, as a tensor of one dimension that only this group has.
Distribution flat(const CartesianTopology& topology, int axis, Placement placement, const std::vector<Index>& counts) {
  Placements placements(static_cast<std::size_t>(topology.grid().axes()), Replicate{});
  placements[static_cast<std::size_t>(axis)] = placement;
  if (!placement.is_shard()) return {topology, Shape{counts[0]}, std::move(placements)};
  return {topology,
          Shape{std::accumulate(counts.begin(), counts.end(), Index{0})},
          std::move(placements),
          {.nesting = {}, .block_extents = {{axis, counts}}}};
}

/// The parts of one group's ranks before or after a move.
class Parts {
 public:
  Parts(const std::vector<Distribution>& tensors, int axis) {
    const auto& topology = tensors.front().topology();
    for (int coordinate = 0; coordinate < topology.grid().extent(axis); ++coordinate) {
      auto& boxes = boxes_.emplace_back();
      for (const auto& d : tensors) boxes.push_back(d.box(topology.grid().moved(topology.rank(), axis, coordinate)));
    }
  }

  std::vector<Index> counts() const {
    std::vector<Index> result;
    for (const auto& boxes : boxes_) {
      result.push_back(std::transform_reduce(boxes.begin(), boxes.end(), Index{0}, std::plus{},
                                             [](const Box& box) { return box.elements(); }));
    }
    return result;
  }

  /// Calls piece(f, first, count) for what each rank of the group has of the tensors `f`: elements from `first` on of a
  /// part that begins at row mine[f][0].begin.
  template <class Piece>
  void visit(const std::vector<Box>& mine, Piece piece) const {
    for (const auto& boxes : boxes_) {
      for (std::size_t f = 0; f < boxes.size(); ++f) {
        const Index count = boxes[f].elements();
        if (count > 0) piece(f, (boxes[f][0].begin - mine[f][0].begin) * (count / boxes[f][0].extent()), count);
      }
    }
  }

 private:
  std::vector<std::vector<Box>> boxes_;  ///< of each coordinate along the axis, of each tensor
};

/// Collective along the way's axis. Tensors that go the same way, in one message.
template <class T>
void move(const Way& way, const std::vector<DistributedTensor<T>>& xs, std::vector<DistributedTensor<T>>& ys) {
  const auto& topology = xs.front().topology();
  if (!topology.active()) return;
  std::vector<Distribution> sources;
  std::vector<Distribution> targets;
  std::vector<Box> held;
  std::vector<Box> wanted;
  Index sent = 0;
  Index received = 0;
  for (std::size_t f = 0; f < xs.size(); ++f) {
    sources.push_back(xs[f].distribution());
    targets.push_back(ys[f].distribution());
    held.push_back(xs[f].box());
    wanted.push_back(ys[f].box());
    sent += held[f].elements();
    received += wanted[f].elements();
  }
  const Parts before(sources, way.axis);
  const Parts after(targets, way.axis);
  const Device device = topology.device();
  Tensor<T> in(Shape{sent}, device);
  Tensor<T> out(Shape{received}, device);
  const auto copy = [device](const T* from, Index count, T* to) {
    const Box run(Shape{count});
    kernels::on(device, [&](auto where) { kernels::copy_box(where, from, run, to, run, run); });
  };

  T* next = in.data();
  const auto pack = [&](std::size_t f, Index first, Index count) {
    copy(xs[f].local().data() + first, count, next);
    next += count;
  };
  if (way.to.is_shard() && sent > 0) {
    after.visit(held, pack);
  } else {
    for (std::size_t f = 0; f < xs.size(); ++f) pack(f, 0, held[f].elements());
  }

  Cell(flat(topology, way.axis, way.from, before.counts()), flat(topology, way.axis, way.to, after.counts()), way.axis)
      .apply(std::as_const(in).data(), out.data());

  std::vector<T*> parts;
  for (auto& y : ys) y.modify([&](Tensor<T>& part) { parts.push_back(part.data()); });
  const T* from = std::as_const(out).data();
  const auto unpack = [&](std::size_t f, Index first, Index count) {
    copy(from, count, parts[f] + first);
    from += count;
  };
  if (way.from.is_shard() && received > 0) {
    before.visit(wanted, unpack);
  } else {
    for (std::size_t f = 0; f < ys.size(); ++f) unpack(f, 0, wanted[f].elements());
  }
}

}  // namespace

template <class T>
std::vector<DistributedTensor<T>> redistribute_together(std::vector<DistributedTensor<T>> xs,
                                                        const std::vector<Distribution>& to) {
  require(xs.size() == to.size(), "{} tensors cannot take {} distributions", xs.size(), to.size());
  std::vector<std::optional<Way>> ways;
  for (std::size_t f = 0; f < xs.size(); ++f)
    ways.push_back(way(xs[f].distribution(), to[f], xs[f].shape().elements() * static_cast<Index>(sizeof(T))));
  std::vector<DistributedTensor<T>> result(xs.size());
  for (std::size_t f = 0; f < xs.size(); ++f) {
    if (!result[f].is_null()) continue;
    std::vector<std::size_t> alike;
    for (std::size_t g = f; ways[f] && g < xs.size(); ++g) {
      if (result[g].is_null() && ways[g] == ways[f] && xs[g].topology() == xs[f].topology()) alike.push_back(g);
    }
    if (alike.size() < 2) {
      result[f] = redistribute(std::exchange(xs[f], {}), to[f]);
      continue;
    }
    const auto& root = xs[f].topology().root();
    if (!root.is_null()) root.require_usable();
    if (!root.is_null() && checks() == Checks::collective) {
      check_collective(root, [&] {
        return fmt::format("{} tensors together, the first of them {} -> {}", alike.size(), xs[f].distribution(),
                           to[f]);
      });
    }
    std::vector<DistributedTensor<T>> sources;
    std::vector<DistributedTensor<T>> targets;
    for (const auto g : alike) {
      sources.push_back(std::exchange(xs[g], {}));
      targets.emplace_back(to[g]);
    }
    move(*ways[f], sources, targets);
    for (std::size_t i = 0; i < alike.size(); ++i) result[alike[i]] = targets[i];
  }
  return result;
}

#define INSTANTIATE(T)                                                                                \
  template std::vector<DistributedTensor<T>> redistribute_together(std::vector<DistributedTensor<T>>, \
                                                                   const std::vector<Distribution>&);
TARTAN_FOR_EACH_ELEMENT_TYPE(INSTANTIATE)
#undef INSTANTIATE

}  // namespace tartan
