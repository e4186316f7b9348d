#pragma once

#include <limits>

#include "kernels/elementary.hpp"
#include "kernels/view.hpp"

/// A row of logits x over classes c, or the shard of it that a rank has, as a few doubles that shards combine
/// associatively. `fields` says which, one after the other:
///
///     2    m = max x, s = Σ e^(x - m)
///     3    and t, the logit of the row's target, 0 where the shard does not have it
///     4    m, s, t and q = Σ e^(x - m) (x - m)
///     6    m, s, t and, for class weights w (1 where there are none), w of the target, u = Σ w (x - m) and W = Σ w
///
/// A shard without classes has m = -inf and zeros. Logits of -inf add nothing to q, and -inf to u unless their class
/// has the weight 0. Exponentials of float and the 16-bit types are computed in float; sums are doubles.
namespace tartan::kernels {

inline constexpr double no_logit = -std::numeric_limits<double>::infinity();

/// Statistics of two shards become those of both, in `into`; the other order gives the same bits.
constexpr void combine_statistics(const double* from, double* into, int fields) {
  const double greatest = from[0] > into[0] ? from[0] : into[0];
  double sums[6] = {greatest, 0, 0, 0, 0, 0};
  const double* const shards[] = {from, into};
  for (const double* const shard : shards) {
    const double shift = shard[0] == greatest ? 0 : shard[0] - greatest;  // m - M, -inf of an empty shard
    const double factor = exp_negative(-shift);
    sums[1] += shard[1] * factor;
    if (fields > 2) sums[2] += shard[2];
    if (fields == 4) sums[3] += factor > 0 ? factor * (shard[3] + shard[1] * shift) : 0;
    if (fields == 6) {
      sums[3] += shard[3];
      sums[4] += shard[0] == no_logit ? shard[4] : shard[4] + shard[5] * shift;
      sums[5] += shard[5];
    }
  }
  for (int field = 0; field < fields; ++field) into[field] = sums[field];
}

/// Row r of `statistics`, of `fields` doubles, is that of row r of the logits: m, s, q, u and W; t and w become 0.
/// `weights`: one for each column, or null.
template <class T>
void class_statistics(Cpu, Matrix<const T> logits, const T* weights, int fields, double* statistics);
template <class T>
void class_statistics(Cuda, Matrix<const T> logits, const T* weights, int fields, double* statistics);

/// Sets t and w of the rows whose target, from first_class on, is one of the columns and not `ignored`.
template <class T, class I>
void pick_targets(Cpu, Matrix<const T> logits, const I* targets, Index first_class, Index ignored, const T* weights,
                  int fields, double* statistics);
template <class T, class I>
void pick_targets(Cuda, Matrix<const T> logits, const I* targets, Index first_class, Index ignored, const T* weights,
                  int fields, double* statistics);

/// out[r] is the combination of shards[p · rows + r] for p = 0, ..., parts - 1 in this order; it may be the first of
/// the shards.
void combine_shards(Cpu, const double* shards, Index parts, Index rows, int fields, double* out);
void combine_shards(Cuda, const double* shards, Index parts, Index rows, int fields, double* out);

/// How a row's statistics, 3 or 6 of them, become its loss,
/// (1 - ε) w_y (lse - t) + (ε / V) (W log s - u) with lse - t = (m - t) + log s.
struct ClassLoss {
  Index ignored;     ///< a target whose rows have the loss 0 and the weight 0
  double smoothing;  ///< ε of label smoothing: 6 fields where it is above 0
  Index classes;     ///< V, of all shards

  constexpr double nll_factor() const { return 1 - smoothing; }
  constexpr double smooth_factor() const { return smoothing / static_cast<double>(classes); }

  /// w_y
  constexpr double weight(const double* row, int fields) const { return fields == 6 ? row[3] : 1; }
  /// What p is multiplied by in the gradient, (1 - ε) w_y + ε W / V.
  constexpr double probability_factor(const double* row, int fields) const {
    return nll_factor() * weight(row, fields) + (smoothing > 0 ? smooth_factor() * row[5] : 0);
  }
  constexpr double of(const double* row, int fields, double log_s) const {
    const double nll = nll_factor() * weight(row, fields) * ((row[0] - row[2]) + log_s);
    return smoothing > 0 ? nll + smooth_factor() * (row[5] * log_s - row[4]) : nll;
  }
};

/// Of a row's statistics of 4 fields: -Σ p log p, in nats.
constexpr double entropy_of(const double* row, double log_s) { return log_s - row[3] / row[1]; }

/// losses[r] and weights[r], w of the target, from statistics of 3 or 6 fields of all classes.
template <class I>
void class_losses(Cpu, const double* statistics, int fields, const I* targets, Index rows, ClassLoss loss,
                  double* losses, double* weights);
template <class I>
void class_losses(Cuda, const double* statistics, int fields, const I* targets, Index rows, ClassLoss loss,
                  double* losses, double* weights);

/// out[i] = a[i] / *by, or a[i] where `by` is null, rounded once.
template <class T>
void quotients(Cpu, const double* a, const double* by, Index n, T* out);
template <class T>
void quotients(Cuda, const double* a, const double* by, Index n, T* out);

/// What a gradient by the logits is multiplied by: upstream[r], or upstream[0] for all rows where it is `shared`,
/// divided by *by unless it is null.
template <class T>
struct Upstream {
  const T* factor;
  bool shared;
  const double* by;

  constexpr double operator()(Index row) const {
    const auto value = static_cast<double>(factor[shared ? 0 : row]);
    return by == nullptr ? value : value / *by;
  }
};

/// The gradient of class_losses() by the logits: row r is upstream(r) times
/// ((1 - ε) w_y + ε W / V) p - (ε / V) w - (1 - ε) w_y [c = y], p = e^(x - m) / s; 0 where the target is ignored.
/// `out` may be the logits.
template <class T, class I>
void class_losses_backward(Cpu, Matrix<const T> logits, const I* targets, Index first_class, const T* weights,
                           const double* statistics, int fields, ClassLoss loss, Upstream<T> upstream, Matrix<T> out);
template <class T, class I>
void class_losses_backward(Cuda, Matrix<const T> logits, const I* targets, Index first_class, const T* weights,
                           const double* statistics, int fields, ClassLoss loss, Upstream<T> upstream, Matrix<T> out);

/// From statistics of 2 fields or more: out[r] = m + log s.
template <class T>
void log_sum_exp(Cpu, const double* statistics, int fields, Index rows, T* out);
template <class T>
void log_sum_exp(Cuda, const double* statistics, int fields, Index rows, T* out);
/// Its gradient: out = upstream[r] · p.
template <class T>
void log_sum_exp_backward(Cpu, Matrix<const T> logits, const double* statistics, int fields, const T* upstream,
                          Matrix<T> out);
template <class T>
void log_sum_exp_backward(Cuda, Matrix<const T> logits, const double* statistics, int fields, const T* upstream,
                          Matrix<T> out);

/// From statistics of 4 fields: out[r] = entropy_of(row r).
template <class T>
void entropy(Cpu, const double* statistics, Index rows, T* out);
template <class T>
void entropy(Cuda, const double* statistics, Index rows, T* out);
/// Its gradient: out = -upstream[r] · p (log p + the entropy); 0 where p is.
template <class T>
void entropy_backward(Cpu, Matrix<const T> logits, const double* statistics, const T* upstream, Matrix<T> out);
template <class T>
void entropy_backward(Cuda, Matrix<const T> logits, const double* statistics, const T* upstream, Matrix<T> out);

}  // namespace tartan::kernels
