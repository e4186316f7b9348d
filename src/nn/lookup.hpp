#pragma once

#include <optional>
#include <utility>

#include <tartan/autograd/tape.hpp>
#include <tartan/nn/functional.hpp>

#include "kernels/elementwise.hpp"
#include "kernels/on.hpp"
#include "kernels/rows.hpp"
#include "nn/ids.hpp"
#include "nn/route.hpp"

/// What all lookups in tables share, whatever moves for them and whatever becomes of the rows.
namespace tartan::lookup {

template <class T, class U>
kernels::Matrix<T> matrix(U& local, Index rows, Index columns) {
  return {local.data(), rows, columns, columns};
}

/// `x` with its elements rounded to T: itself where they are T's.
template <class T, class V>
Tensor<T> rounded(const Tensor<V>& x) {
  if constexpr (std::is_same_v<T, V>) {
    return x;
  } else {
    Tensor<T> result(x.shape(), x.device());
    kernels::on(x.device(), [&](auto where) { kernels::round_to(where, x.data(), x.elements(), result.data()); });
    return result;
  }
}

/// The rows and columns of the block that this rank has of a (V, D) tensor; none where it has nothing.
struct Block {
  Index first_row = 0;
  Index rows = 0;
  Index columns = 0;

  explicit Block(const Distribution& distribution) {
    const auto box = distribution.box(distribution.topology().rank());
    first_row = box[0].begin;
    rows = box[0].extent();
    columns = box[1].extent();
  }
};

/// The rows that this rank's ids name, as far as it gives them, and the ids as numbers of these rows.
template <class T, class I>
struct RowsAtHand {
  Tensor<T> rows;
  Index first_row = 0;  ///< of `rows`; ids of rows before and behind give nothing here
  Index padding = -1;   ///< the id that is padding
  DistributedTensor<I> ids;
  std::optional<DistributedTensor<Index>> renamed;  ///< in place of `ids`

  /// `rows` as kernels take them.
  kernels::Matrix<const T> table() const {
    const bool none = rows.shape().dimensions() < 2;
    return matrix<const T>(rows, none ? 0 : rows.shape()[0], none ? 0 : rows.shape()[1]);
  }
  /// read(numbers) with the numbers of rows, a DistributedTensor of I or Index.
  template <class Read>
  void read_numbers(Read&& read) const {
    renamed ? read(*renamed) : read(ids);
  }
  /// read(where, table(), first_row, ids) with what kernels take.
  template <class Read>
  void read(Read&& read) const {
    read_numbers([&](const auto& numbers) {
      kernels::on(rows.device(), [&](auto where) { read(where, table(), first_row, numbers.local().data()); });
    });
  }
};

/// Throws Error where sums are asked both to keep an order on every grid and to have none.
void require_order(const functional::EmbeddingOptions& options);

/// The lookup of a batch of ids in a table: which rows they name, and the way of what they contribute to the table's
/// gradient. What is done with the rows in between is the caller's.
template <class T, class I>
class Lookup {
 public:
  /// Throws Error, the same on every rank, where ids and weight do not meet, or an id or option is out of range.
  /// Collective where options.max_norm scales rows, and to agree on ids that are not known to be in range. `stored`:
  /// what `weight` is a moved copy of, if it is.
  Lookup(const DistributedTensor<I>& ids, const Variable<T>& weight, const functional::EmbeddingOptions& options,
         Moving moving, const Variable<T>& stored = {});

  /// Of the looked-up rows, (ids..., D).
  const Distribution& result() const noexcept { return route_.result; }
  /// Of rows for each element of something else that lies as the ids do.
  Distribution result_for(const Distribution& batch) const {
    return Route(batch, weight_.distribution(), route_.moving).result;
  }
  const DistributedTensor<I>& ids() const { return ids_.get(); }
  const Variable<T>& weight() const noexcept { return weight_; }
  /// The weight as it is kept: weight(), or what that was moved from.
  const Variable<T>& stored() const noexcept { return stored_; }
  const functional::EmbeddingOptions& options() const noexcept { return options_; }
  /// The id that is padding, or -1.
  Index padding() const noexcept { return padding_; }
  /// Of this rank's part of the looked-up rows.
  Index columns() const { return Block(route_.terms).columns; }

  /// Collective where rows move.
  RowsAtHand<T, I> rows() const;
  /// In a backward pass, with hits on the topology's device: adds to the weight's gradient what the ids contribute, one
  /// hit for each of this rank's ids; those that are padding, or whose row another rank owns, are none. Collective
  /// where rows move, with scale_grad_by_freq and with reproducible.
  void contribute(const kernels::Contributions<T>& hits) const;

 private:
  /// Whether sums are atomic: as options ask, where no other rank has a copy of them.
  bool unordered() const;
  /// Contributions are given as they are, or in the accumulator of T: sums are rounded once, whichever it is.
  template <class V>
  Gradient<T> gradient(const kernels::Contributions<V>& hits) const;
  template <class V>
  RowSparse<Accumulator<T>> folded_in_order(const kernels::Contributions<V>& hits) const;
  /// Which rows of the weight's block the ids hit.
  template <class Where>
  auto plan(Where where) const {
    if constexpr (std::is_same_v<Where, kernels::Cuda>) {
      if (plan_) return *plan_;
    }
    const Block block(route_.terms);
    const auto& local = ids().local();
    return kernels::plan_rows(where, local.data(), local.elements(), block.first_row, block.rows, padding_);
  }

  Saved<I> ids_;
  Variable<T> weight_;
  Variable<T> stored_;
  functional::EmbeddingOptions options_;
  Index padding_;
  Route route_;
  Distribution home_;  ///< of the gradient when its terms are summed
  Distribution sent_;  ///< of the gradient as it is contributed: before its terms are summed, or home where rows move
  std::optional<kernels::CudaRowPlan> plan_;  ///< made beside the forward pass where a tape records it
};

/// The rows as they are: functional::embedding and embedding_by_rows.
template <class T, class I>
Variable<T> looked_up(const Lookup<T, I>& lookup);

}  // namespace tartan::lookup
