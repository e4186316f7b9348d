#pragma once

#include <tartan/nn/embedding_bag.hpp>

#include "nn/options.hpp"

/// Bags of ids on one rank, as plain loops over whole arrays.
namespace tartan::testing {

/// A global batch: `length` ids in each bag for ids (B, L), or offsets (B + 1).
struct BagBatch {
  std::vector<Index> ids;
  std::vector<Index> offsets;
  Index length = -1;

  Index bags() const { return std::ssize(offsets) - 1; }
  /// The bag of id i.
  std::size_t bag(std::size_t i) const {
    return static_cast<std::size_t>(std::ranges::upper_bound(offsets, static_cast<Index>(i)) - offsets.begin() - 1);
  }

  static BagBatch of_lengths(const std::vector<Index>& lengths, Index rows) {
    BagBatch batch{.ids = {}, .offsets = {0}};
    for (const Index length : lengths) batch.offsets.push_back(batch.offsets.back() + length);
    batch.ids = some_ids(batch.offsets.back(), rows);
    return batch;
  }
  static BagBatch of_rows(Index bags, Index length, Index rows) {
    auto batch = of_lengths(std::vector<Index>(static_cast<std::size_t>(bags), length), rows);
    batch.length = length;
    return batch;
  }
};

/// What a lookup of bags gives, and its gradients for an upstream gradient.
template <class T>
struct PooledRows {
  std::vector<T> values;           ///< (B, D)
  std::vector<double> magnitudes;  ///< of the terms of each element, added
  std::vector<T> hits;             ///< (N, D): what each id contributes to the gradient of its row
  std::vector<T> dots;             ///< (N): the gradient of the weights of ids
  std::vector<double> dot_magnitudes;

  PooledRows(const Table<T>& table, const BagBatch& batch, BagMode mode, const std::vector<T>& weights, Index padding,
             const std::vector<T>& upstream) {
    const Index columns = table.columns;
    const auto n = batch.ids.size();
    hits.assign(n * static_cast<std::size_t>(columns), -T{});
    dots.assign(n, T{});
    dot_magnitudes.assign(n, 0);
    for (Index b = 0; b < batch.bags(); ++b) {
      std::vector<std::size_t> members;
      for (Index i = batch.offsets[static_cast<std::size_t>(b)]; i < batch.offsets[static_cast<std::size_t>(b + 1)];
           ++i) {
        if (batch.ids[static_cast<std::size_t>(i)] != padding) members.push_back(static_cast<std::size_t>(i));
      }
      const T count = static_cast<T>(members.size());
      for (Index c = 0; c < columns; ++c) {
        const auto at = [&](std::size_t i) {
          return table.values[static_cast<std::size_t>(batch.ids[i] * columns + c)];
        };
        const T up = upstream[static_cast<std::size_t>(b * columns + c)];
        T value{};
        double magnitude = 0;
        std::size_t winner = members.empty() ? n : members[0];
        for (const std::size_t i : members) {
          const T term = weights.empty() ? at(i) : weights[i] * at(i);
          magnitude += std::abs(static_cast<double>(term));
          value = i == members[0] ? term : mode == BagMode::max ? std::max(value, term) : value + term;
          if (at(i) > at(winner)) winner = i;
          auto& hit = hits[i * static_cast<std::size_t>(columns) + static_cast<std::size_t>(c)];
          if (mode == BagMode::sum) hit = weights.empty() ? up : weights[i] * up;
          if (mode == BagMode::mean) hit = T{1} / count * up;
          dots[i] += at(i) * up;
          dot_magnitudes[i] += std::abs(static_cast<double>(at(i)) * static_cast<double>(up));
        }
        if (mode == BagMode::mean && !members.empty()) value /= count;
        if (mode == BagMode::max && winner < n)
          hits[winner * static_cast<std::size_t>(columns) + static_cast<std::size_t>(c)] = up;
        values.push_back(value);
        magnitudes.push_back(magnitude);
      }
    }
  }
};

/// This rank's part of `tensor` is that part of `whole`, to the last bit where `exact`, otherwise to within 16
/// roundings of the sums of magnitudes.
template <class T>
bool close_sums(const DistributedTensor<T>& tensor, const std::vector<T>& whole, const std::vector<double>& magnitudes,
                bool exact) {
  if (exact) return same_bits(tensor, whole);
  const auto expected = held(tensor.distribution(), whole);
  const auto bounds = held(tensor.distribution(), magnitudes);
  const auto local = tensor.local().span();
  if (local.size() != expected.size()) return false;
  for (std::size_t i = 0; i < local.size(); ++i) {
    const double difference = std::abs(static_cast<double>(local[i]) - static_cast<double>(expected[i]));
    if (!(difference <= 16 * std::numeric_limits<T>::epsilon() * bounds[i])) return false;
    if (bounds[i] == 0 && std::signbit(local[i]) != std::signbit(expected[i])) return false;
  }
  return true;
}

/// How a batch comes: bags that are rows, offsets without and with the last one, parts that ranks load for themselves.
enum class BagForm { rows, offsets, include_last, local };

/// Batches of one form: uneven and empty bags, fewer bags than ranks, none at all, long ones.
inline std::vector<BagBatch> bag_batches(BagForm form, Index rows) {
  if (form == BagForm::rows) {
    return {BagBatch::of_rows(4, 3, rows), BagBatch::of_rows(9, 2, rows), BagBatch::of_rows(0, 3, rows),
            BagBatch::of_rows(3, 0, rows), BagBatch::of_rows(2, 75, rows)};
  }
  std::vector<BagBatch> batches;
  for (const auto& lengths : std::vector<std::vector<Index>>{
           {2, 0, 5, 1, 3, 0, 4}, {0, 0, 0}, {4}, {}, {70, 1, 130}, {0, 1, 0, 0, 9, 2, 1, 1, 0, 6, 0}}) {
    batches.push_back(BagBatch::of_lengths(lengths, rows));
  }
  return batches;
}

/// Collective: the bags of a batch, split along axis 0 or on every rank.
template <class I>
Bags<I> placed_bags(const CartesianTopology& topology, const BagBatch& batch, BagForm form, bool split) {
  Placements placements(static_cast<std::size_t>(topology.grid().axes()), Replicate{});
  if (split) placements[0] = Shard{0};
  const auto placed = [&](const std::vector<Index>& list, const Shape& shape) {
    return placed_ids<I>({topology, shape, placements}, list);
  };
  const Shape line{std::ssize(batch.ids)};
  if (form == BagForm::rows) return Bags<I>(placed(batch.ids, {batch.bags(), batch.length}));
  if (form == BagForm::include_last)
    return Bags<I>(placed(batch.ids, line), placed(batch.offsets, {batch.bags() + 1}), true);
  auto offsets = batch.offsets;
  offsets.pop_back();
  if (form == BagForm::offsets) return Bags<I>(placed(batch.ids, line), placed(offsets, {batch.bags()}));
  // Most bags to the last ranks.
  const auto rank = topology.rank();
  const Index parts = split ? topology.grid().extent(0) : 1;
  const Index part = split && rank >= 0 ? topology.grid().coordinate(rank, 0) : 0;
  const auto cut = [&](Index k) { return static_cast<std::size_t>(batch.bags() * k * k / (parts * parts)); };
  const std::size_t first = rank < 0 ? 0 : cut(part);
  const std::size_t end = rank < 0 ? 0 : cut(part + 1);
  std::vector<I> mine;
  std::vector<I> begins;
  for (std::size_t b = first; b < end; ++b) begins.push_back(static_cast<I>(batch.offsets[b] - batch.offsets[first]));
  for (Index i = batch.offsets[first]; i < batch.offsets[end]; ++i)
    mine.push_back(static_cast<I>(batch.ids[static_cast<std::size_t>(i)]));
  return Bags<I>::from_local(topology, split ? std::optional<int>{0} : std::nullopt,
                             Tensor<I>::from(Shape{std::ssize(mine)}, mine),
                             Tensor<I>::from(Shape{std::ssize(begins)}, begins));
}

}  // namespace tartan::testing
