#pragma once

#include <cuda_runtime.h>

#include <cmath>

#include "kernels/cuda/plan_arrays.hpp"
#include "kernels/cuda/row_lanes.hpp"
#include "kernels/cuda/row_sums.hpp"
#include "kernels/cuda/shared_memory.hpp"
#include "kernels/rows.hpp"

namespace tartan::kernels {

/// What becomes of the fold of a row's hits.
enum class Rule { store, add, sgd, adagrad, rowwise_adagrad };

template <class T>
struct RowUpdate {
  Rule rule;
  Matrix<T> out;                     ///< to store: a row for each distinct one; otherwise the table
  Accumulator<T> rate{}, epsilon{};  ///< of the steps
  Matrix<Accumulator<T>> state{};    ///< of adagrad: laid out as the table's rows; rowwise_adagrad: one column
};

/// Rows of a chunk that a group has in flight at once.
constexpr int rows_ahead = 4;

/// Where the sums of rows of many chunks meet.
template <class T>
struct Meeting {
  Sums<T>* partials;   ///< for each slot, tile of columns, and lane
  unsigned* arrivals;  ///< for each slot and tile: 0 at first
};

/// A chunk's hits, none where there is no such chunk.
struct Work {
  Index mark, end_mark;  ///< see Chunk
  Index position;
  Index row;  ///< of the matrix that the sum is for

  __device__ Work(const PlanArrays& plan, Index chunks, Index c, Rule rule) : mark{}, end_mark{}, position{}, row{} {
    if (c >= chunks) return;
    const Chunk& chunk = plan.chunks[c];
    mark = chunk.mark;
    end_mark = plan.chunks[c + 1].mark;
    position = chunk.position;
    row = rule == Rule::store ? chunk.u : chunk.row;
  }
  __device__ Index begin() const { return mark >> 1; }
  __device__ Index end() const { return end_mark >> 1; }
  __device__ bool exists() const { return end_mark > 0; }
  __device__ bool is_first_of_row() const { return (mark & 1) != 0; }
  /// Whether its row has no other chunk.
  __device__ bool is_whole_row() const { return (mark & end_mark & 1) != 0; }
};

/// One group of lanes at work on one tile of columns.
template <class T, bool aligned>
struct Folder {
  using A = Accumulator<T>;
  static constexpr int n = per_lane<T>;

  const PlanArrays& plan;
  const Contributions<T>& contributions;
  const RowUpdate<T>& update;
  const Meeting<T>& meeting;
  const Lanes& lanes;
  Index tile, tiles;
  LaneColumns<T, aligned> columns;

  /// What a hit contributes.
  struct Term {
    Piece<T> row;
    A factor;
  };
  __device__ Term term(Index position) const {
    const Index row = contributions.source != nullptr ? contributions.source[position] : position;
    return {load<T, aligned>(contributions.rows.data + row * contributions.rows.stride, columns),
            contributions.factors != nullptr ? contributions.factors[position] : A{1}};
  }
  __device__ A value(const Term& term, int e) const {
    const A value = static_cast<A>(term.row.values[e]);
    return contributions.factors != nullptr ? term.factor * value : value;
  }
  __device__ T* target(Index row) const { return update.out.data + row * update.out.stride; }

  /// The left fold of `first` and the hits [begin, end).
  __device__ Sums<T> fold(const Term& first, Index begin, Index end) const {
    Sums<T> sum;
    for (int e = 0; e < n; ++e) sum.values[e] = value(first, e);
    if (begin == end) return sum;
    Index next[rows_ahead];  // their positions: one wait less between two batches of rows
    for (int i = 0; i < rows_ahead; ++i) next[i] = plan.positions[min(begin + i, end - 1)];
    for (; begin < end; begin += rows_ahead) {
      Term terms[rows_ahead];
      for (int i = 0; i < rows_ahead; ++i) {
        if (begin + i < end) terms[i] = term(next[i]);
      }
      for (int i = 0; i < rows_ahead; ++i) {
        next[i] = plan.positions[min(begin + rows_ahead + i, end - 1)];
      }
      for (int i = 0; i < rows_ahead; ++i) {
        if (begin + i >= end) break;
        for (int e = 0; e < n; ++e) sum.values[e] += value(terms[i], e);
      }
    }
    return sum;
  }

  __device__ Sums<T>& partial(Index slot) const {
    return meeting.partials[((slot * tiles + tile) << lanes.bits) + lanes.lane];
  }

  /// The left fold of the partial sums of `count` nodes of the row, from the one at chunk `first` on, `apart` chunks
  /// apart.
  __device__ Sums<T> fold_partials(Index row_begin, Index first, Index apart, Index count) const {
    const auto at = [&](Index k) { return plan_layout::slot_of(row_begin + (k << plan_layout::chunk_bits), k == 0); };
    Sums<T> sum = partial(at(first));
    for (Index i = 1; i < count; i += rows_ahead) {
      Sums<T> terms[rows_ahead];
      for (int j = 0; j < rows_ahead; ++j) {
        if (i + j < count) terms[j] = partial(at(first + (i + j) * apart));
      }
      for (int j = 0; j < rows_ahead; ++j) {
        if (i + j >= count) break;
        for (int e = 0; e < n; ++e) sum.values[e] += terms[j].values[e];
      }
    }
    return sum;
  }

  /// Folds the 32 chunks from chunk c on, at most, of its row. Their sum meets those of the row's other groups in
  /// groups of 32, and so on: the one that comes last goes on, and the last of all finishes the row.
  __device__ void meet(Index c) const {
    const Index u = plan.chunks[c].u;
    const Index row_begin = plan.offsets[u], row_end = plan.offsets[u + 1];
    Index node = ((plan.chunks[c].mark >> 1) - row_begin) >> plan_layout::chunk_bits;  // here and now a chunk
    Index nodes = (row_end - row_begin + plan_layout::chunk - 1) >> plan_layout::chunk_bits;
    Sums<T> sum;
    for (int bits = 0;; bits += plan_layout::group_bits) {
      const Index first = node & -plan_layout::group,
                  count = min(plan_layout::group, nodes - first);  // the nodes that become one
      if (bits > 0 && count > 1) {
        const Index k = node << bits;
        partial(plan_layout::slot_of(row_begin + (k << plan_layout::chunk_bits), k == 0)) = sum;
        // Nodes of other levels that begin with the same chunk count elsewhere: at their second chunk, the third, ...
        const Index counter = (first << bits) + 1 + bits / plan_layout::group_bits;
        if (!last_to_arrive(plan_layout::slot_of(row_begin + (counter << plan_layout::chunk_bits), false), count))
          return;
      }
      if (bits == 0 || count > 1) sum = fold_partials(row_begin, first << bits, Index{1} << bits, count);
      node = first >> plan_layout::group_bits;
      nodes = (nodes + plan_layout::group - 1) >> plan_layout::group_bits;
      if (nodes == 1) break;
    }
    const Index row = update.rule == Rule::store ? u : plan.chunks[c].row;
    finish(row, sum, update.rule == Rule::store ? Piece<T>{} : load<T, aligned>(target(row), columns));
  }

  /// Whether this group is the last of `expected` that come to `slot`; what the others wrote before is seen then.
  __device__ bool last_to_arrive(Index slot, Index expected) const {
    __threadfence();
    __syncwarp(lanes.mask);
    int last = 0;
    if (lanes.lane == 0) {
      last = atomicAdd(&meeting.arrivals[slot * tiles + tile], 1u) == static_cast<unsigned>(expected - 1);
      __threadfence();
    }
    last = __shfl_sync(lanes.mask, last, 0, lanes.count());
    __syncwarp(lanes.mask);
    if (last != 0) __threadfence();
    return last != 0;
  }

  /// What a chunk needs first: the first of its rows and, where it is the only one of a row, what is there.
  struct Begun {
    Term first;
    Piece<T> old;
  };
  __device__ Begun begin(const Work& work) const {
    Begun begun{};
    if (!work.exists()) return begun;
    begun.first = term(work.position);
    if (update.rule != Rule::store && work.is_whole_row()) begun.old = load<T, aligned>(target(work.row), columns);
    return begun;
  }

  __device__ void finish(const Work& work, const Begun& begun) const {
    const Sums<T> sum = fold(begun.first, work.begin() + 1, work.end());
    if (work.is_whole_row()) {
      finish(work.row, sum, begun.old);
    } else {
      partial(plan_layout::slot_of(work.begin(), work.is_first_of_row())) = sum;
    }
  }

  __device__ void finish(Index row, const Sums<T>& sum, Piece<T> piece) const {
    apply(row, sum, piece);
    store<T, aligned>(target(row), columns, piece);
  }

  /// Makes of the row's `old` elements the new ones.
  __device__ void apply(Index row, const Sums<T>& sum, Piece<T>& old) const {
    switch (update.rule) {
      case Rule::store:
        return each([&](int e) { return sum.values[e]; }, old);
      case Rule::add:
        return each([&](int e) { return static_cast<A>(old.values[e]) + sum.values[e]; }, old);
      case Rule::sgd:
        return step([&](int, A g) { return update.rate * g; }, sum, old);
      case Rule::adagrad: {
        A* const state = update.state.data + row * update.state.stride;
        return step(
            [&](int e, A g) {
              const A squares = state[columns[e]] + g * g;
              state[columns[e]] = squares;
              return update.rate * g / (std::sqrt(squares) + update.epsilon);
            },
            sum, old);
      }
      case Rule::rowwise_adagrad: {
        const A rate = rowwise_rate(row, sum);
        return step([&](int, A g) { return rate * g; }, sum, old);
      }
    }
  }

  /// The gradient as a table of T has it.
  __device__ static A rounded(A sum) { return static_cast<A>(static_cast<T>(sum)); }

  template <class New>
  __device__ void each(const New& value, Piece<T>& old) const {
    for (int e = 0; e < n; ++e) old.values[e] = static_cast<T>(value(e));
  }
  template <class Change>
  __device__ void step(const Change& change, const Sums<T>& sum, Piece<T>& old) const {
    for (int e = 0; e < n; ++e) {
      if (columns.has(e)) {
        old.values[e] = static_cast<T>(static_cast<A>(old.values[e]) - change(e, rounded(sum.values[e])));
      }
    }
  }

  /// Adds the mean of the row's squares to its state; the step's rate for it. The group has the whole row.
  __device__ A rowwise_rate(Index row, const Sums<T>& sum) const {
    double* const squares =
        shared_memory<double>() + (static_cast<Index>(threadIdx.x) >> lanes.bits) * (n << lanes.bits);
    for (int e = 0; e < n; ++e) {
      const auto g = static_cast<double>(rounded(sum.values[e]));
      if (columns.has(e)) squares[columns[e]] = g * g;
    }
    const double mean = sum_by_leaves(lanes, squares, columns.columns) / static_cast<double>(columns.columns);
    A& state = update.state.data[row * update.state.stride];
    const A total = state + static_cast<A>(mean);
    __syncwarp(lanes.mask);
    if (lanes.lane == 0) state = total;
    return update.rate / (std::sqrt(total) + update.epsilon);
  }
};

}  // namespace tartan::kernels
