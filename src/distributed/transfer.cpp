#include "distributed/transfer.hpp"

#include <algorithm>
#include <type_traits>

#include <tartan/tensor/tensor.hpp>

#include "base/element_types.hpp"
#include "distributed/carrier.hpp"
#include "distributed/staging.hpp"
#include "kernels/boxes.hpp"
#include "kernels/elementwise.hpp"
#include "kernels/on.hpp"

namespace tartan {
namespace {

/// The position of a rank of the root in the topology of `distribution`, or -1.
int position_of(const Distribution& distribution, int root_rank) {
  const auto& ranks = distribution.topology().partition().ranks();
  const auto found = std::ranges::find(ranks, root_rank);
  return found == ranks.end() ? -1 : static_cast<int>(found - ranks.begin());
}

int root_rank_of(const Distribution& distribution, int position) {
  return distribution.topology().partition().ranks()[static_cast<std::size_t>(position)];
}

/// The ranks of the root whose positions differ from `position` only on axes placed as `kind`, sorted.
std::vector<int> family(const Distribution& distribution, int position, Placement::Kind kind) {
  std::vector<int> positions{position};
  const auto& grid = distribution.grid();
  for (int axis = 0; axis < grid.axes(); ++axis) {
    if (distribution.placement(axis).kind() != kind) continue;
    std::vector<int> more;
    for (const int p : positions) {
      for (int coordinate = 0; coordinate < grid.extent(axis); ++coordinate)
        more.push_back(grid.moved(p, axis, coordinate));
    }
    positions = std::move(more);
  }
  for (int& p : positions) p = root_rank_of(distribution, p);
  std::ranges::sort(positions);
  return positions;
}

/// True for one position of each family().
bool represents(const Distribution& distribution, int position, Placement::Kind kind) {
  for (int axis = 0; axis < distribution.grid().axes(); ++axis) {
    if (distribution.placement(axis).kind() == kind && distribution.grid().coordinate(position, axis) != 0)
      return false;
  }
  return distribution.holds(position);
}

bool several(const Distribution& distribution, Placement::Kind kind) {
  for (int axis = 0; axis < distribution.grid().axes(); ++axis) {
    if (distribution.placement(axis).kind() == kind && distribution.grid().extent(axis) > 1) return true;
  }
  return false;
}

/// The ranks that may give a term, or take one, for `position`: its family(); but where a tensor has both copies and
/// terms, the one of represents() alone, since all copies have to consist of the same terms.
std::vector<int> stand_ins(const Distribution& distribution, int position, Placement::Kind kind) {
  using Kind = Placement::Kind;
  if (!several(distribution, kind == Kind::partial ? Kind::replicate : Kind::partial))
    return family(distribution, position, kind);
  if (!represents(distribution, position, kind)) return {};
  return {root_rank_of(distribution, position)};
}

struct Pair {
  int sender;
  int receiver;
};

/// Of the ranks that hold a source term and those of a target copy (both sorted): the lowest in both, else the lowest
/// of each.
Pair choose(const std::vector<int>& senders, const std::vector<int>& receivers) {
  for (const int rank : senders) {
    if (std::ranges::binary_search(receivers, rank)) return {rank, rank};
  }
  return {senders.front(), receivers.front()};
}

Index largest_block(const Distribution& distribution) {
  Index largest = 0;
  for (int p = 0; p < distribution.grid().size(); ++p) largest = std::max(largest, distribution.block(p).elements());
  return largest;
}

}  // namespace

std::vector<Transfer::Item> Transfer::sends(const Distribution& from, const Distribution& to, int root_rank) {
  const int mine = position_of(from, root_rank);
  if (mine < 0 || !from.holds(mine)) return {};
  const auto senders = stand_ins(from, mine, Placement::Kind::replicate);
  if (senders.empty()) return {};
  const Box block = from.block(mine);
  std::vector<Item> items;
  for (int target = 0; target < to.grid().size(); ++target) {
    if (!represents(to, target, Placement::Kind::partial)) continue;
    Box box = intersect(block, to.block(target));
    if (box.empty()) continue;
    const auto [sender, receiver] = choose(senders, stand_ins(to, target, Placement::Kind::partial));
    if (sender == root_rank) items.push_back({receiver, std::move(box)});
  }
  std::ranges::sort(items, {}, &Item::peer);
  return items;
}

std::vector<Transfer::Item> Transfer::receives(const Distribution& from, const Distribution& to, int root_rank) {
  const int mine = position_of(to, root_rank);
  if (mine < 0 || !to.holds(mine)) return {};
  const auto receivers = stand_ins(to, mine, Placement::Kind::partial);
  if (receivers.empty()) return {};
  const Box block = to.block(mine);
  std::vector<Item> items;
  for (int source = 0; source < from.grid().size(); ++source) {
    if (!represents(from, source, Placement::Kind::replicate)) continue;
    Box box = intersect(from.block(source), block);
    if (box.empty()) continue;
    const auto [sender, receiver] = choose(stand_ins(from, source, Placement::Kind::replicate), receivers);
    if (receiver == root_rank) items.push_back({sender, std::move(box)});
  }
  std::ranges::sort(items, {}, &Item::peer);
  return items;
}

Transfer::Transfer(const Distribution& from, const Distribution& to)
    : root_{from.topology().root()},
      before_{from.box(from.topology().rank())},
      after_{to.box(to.topology().rank())},
      source_device_{from.topology().device()},
      target_device_{to.topology().device()},
      many_terms_{several(from, Placement::Kind::partial)},
      many_sources_{several(to, Placement::Kind::replicate)} {
  const int me = root_.rank();
  sends_ = sends(from, to, me);
  receives_ = receives(from, to, me);
  largest_ = std::min(largest_block(from), largest_block(to));
  if (from.topology().devices() == to.topology().devices()) devices_ = from.topology().devices();
}

Transfer Transfer::adjoint() const {
  Transfer result = *this;
  std::swap(result.before_, result.after_);
  std::swap(result.source_device_, result.target_device_);
  std::swap(result.sends_, result.receives_);
  std::swap(result.many_terms_, result.many_sources_);
  return result;
}

template <class T>
void Transfer::apply(const T* in, T* out) const {
  if (root_.is_null()) return;
  const int me = root_.rank();
  const auto elements = [me](const std::vector<Item>& items) {
    Index sum = 0;
    for (const auto& item : items) sum += item.peer == me ? 0 : item.box.elements();
    return sum;
  };
  std::vector<Index> send_counts(static_cast<std::size_t>(root_.size()));
  std::vector<Index> receive_counts(send_counts.size());
  Tensor<T> sent(Shape{elements(sends_)}, source_device_);
  Tensor<T> received(Shape{elements(receives_)}, target_device_);

  T* packed = sent.data();
  for (const auto& item : sends_) {
    if (item.peer == me) continue;
    kernels::on(source_device_, [&](auto where) { kernels::copy_box(where, in, before_, packed, item.box, item.box); });
    send_counts[static_cast<std::size_t>(item.peer)] = item.box.elements();
    packed += item.box.elements();
  }
  for (const auto& item : receives_) {
    if (item.peer != me) receive_counts[static_cast<std::size_t>(item.peer)] = item.box.elements();
  }
  const std::span<const T> outgoing(std::as_const(sent).data(), static_cast<std::size_t>(sent.elements()));
  const std::span<T> incoming(received.data(), static_cast<std::size_t>(received.elements()));
  if (devices_.empty()) {
    const Outbound<T> outbound(source_device_, outgoing);
    const Inbound<T> inbound(target_device_, incoming);
    root_.all_to_all(outbound.span(), send_counts, inbound.span(), receive_counts, largest_);
    inbound.put();
  } else {
    Carrier{root_, target_device_, devices_}.all_to_all<T>(outgoing, send_counts, incoming, receive_counts, largest_);
  }

  Index covered = 0;
  for (const auto& item : receives_) covered += item.box.elements();
  // What stays on this rank may lie on another device than where it goes.
  Tensor<T> stays;
  const auto mine = std::ranges::find(receives_, me, &Item::peer);
  if (mine != receives_.end() && source_device_ != target_device_) {
    Tensor<T> alone(mine->box.shape(), source_device_);
    kernels::on(source_device_,
                [&](auto where) { kernels::copy_box(where, in, before_, alone.data(), mine->box, mine->box); });
    stays = alone.to(target_device_);
  }
  // Terms are added in the accumulator and rounded once.
  using A = Accumulator<T>;
  constexpr bool apart = !std::is_same_v<T, A>;
  Tensor<A> wide;
  if (apart && many_terms_) wide = Tensor<A>(Shape{after_.elements()}, target_device_);
  A* sums = nullptr;
  if constexpr (apart) {
    sums = wide.data();
  } else {
    sums = out;
  }
  kernels::on(target_device_, [&](auto where) {
    if (many_terms_) {
      kernels::fill(where, sums, after_.elements(), additive_identity<A>());
    } else if (covered < after_.elements()) {
      kernels::fill(where, out, after_.elements(), additive_identity<T>());
    }
    const T* next = std::as_const(received).data();
    for (const auto& item : receives_) {
      const bool local = item.peer == me;
      const bool in_place = local && source_device_ == target_device_;
      const T* source = in_place ? in : local ? std::as_const(stays).data() : next;
      const Box& source_box = in_place ? before_ : item.box;
      if (many_terms_) {
        kernels::add_box(where, source, source_box, sums, after_, item.box);
      } else {
        kernels::copy_box(where, source, source_box, out, after_, item.box);
      }
      if (!local) next += item.box.elements();
    }
    if constexpr (apart) {
      if (many_terms_) kernels::round_to(where, sums, after_.elements(), out);
    }
  });
}

Index Transfer::elements_sent(const Distribution& from, const Distribution& to) {
  Index sum = 0;
  for (const int rank : from.topology().partition().ranks()) {
    for (const auto& item : sends(from, to, rank)) {
      sum = checked_add(sum, item.peer == rank ? 0 : item.box.elements());
    }
  }
  return sum;
}

#define INSTANTIATE(T) template void Transfer::apply<T>(const T*, T*) const;
TARTAN_FOR_EACH_ELEMENT_TYPE(INSTANTIATE)
#undef INSTANTIATE

}  // namespace tartan
