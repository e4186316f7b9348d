#include <tartan/autograd/attention.hpp>

#include <algorithm>
#include <cmath>
#include <type_traits>

#include <tartan/autograd/tape.hpp>

#include "autograd/rules.hpp"
#include "base/element_types.hpp"
#include "kernels/batched_matmul.hpp"
#include "kernels/elementwise.hpp"
#include "kernels/softmax.hpp"

namespace tartan {
namespace {

using kernels::Batch;
using kernels::Transposed;

/// The result of attention; throws where q, k and v do not meet.
Distribution place(const Distribution& q, const Distribution& k, const Distribution& v) {
  const auto& a = q.shape();
  const auto& b = k.shape();
  const auto& c = v.shape();
  const bool four = a.dimensions() == 4 && b.dimensions() == 4 && c.dimensions() == 4;
  require(four && b == Shape({a[0], b[1], a[2], a[3]}) && c == Shape({a[0], b[1], a[2], c[3]}),
          "attention takes q (B, S, H, d), k (B, R, H, d) and v (B, R, H, e), not the shapes {}, {} and {}", a, b, c);
  auto whole = q.placements();
  std::ranges::replace_if(
      whole, [](const Placement& p) { return p.is_partial() || p.is_shard(1) || p.is_shard(3); }, Replicate{});
  require(whole == q.placements(),
          "attention takes tensors that are sharded in the batch (0) or the heads (2), Replicate or Root, not {}; "
          "redistribute(q, {}), and k and v likewise",
          q, whole);
  const auto like_q = [&](const Shape& shape) {
    return Distribution(q.topology(), shape, q.placements(), q.options());
  };
  if (k != like_q(b) || v != like_q(c)) {
    fail("attention takes q, k and v placed alike, not {}, {} and {}{}{}", q, k, v, rules::hint("k", k, like_q(b)),
         rules::hint("v", v, like_q(c)));
  }
  return like_q({a[0], a[1], a[2], c[3]});
}

/// x in the type that products are added in: x itself where that is T.
template <class T>
Tensor<Accumulator<T>> widened(const Tensor<T>& x) {
  if constexpr (std::is_same_v<T, Accumulator<T>>) {
    return x;
  } else {
    Tensor<Accumulator<T>> wide(x.shape(), x.device());
    kernels::on(x.device(), [&](auto where) { kernels::widen(where, x.data(), x.elements(), wide.data()); });
    return wide;
  }
}

/// The tensor that `compute(where, out)` writes in the type that products are added in, all of it.
template <class T, class Compute>
DistributedTensor<T> rounded(Distribution distribution, Compute compute) {
  return rules::computed<T>(std::move(distribution), [&](auto where, Tensor<T>& out) {
    if constexpr (std::is_same_v<T, Accumulator<T>>) {
      compute(where, out);
    } else {
      Tensor<Accumulator<T>> wide(out.shape(), out.device());
      compute(where, wide);
      kernels::round_to(where, wide.data(), wide.elements(), out.data());
    }
  });
}

/// The matrices of all heads of batch entry b, rows [begin, end) of the sequence.
template <class A, class Local>
Batch<A> heads(Local& x, Index b, Index begin, Index end) {
  const auto& shape = x.shape();
  const Index stride = shape[2] * shape[3];
  return {x.data() + (b * shape[1] + begin) * stride, shape[2], shape[3], end - begin, shape[3], stride};
}

/// One tile of scores after the other, for this rank's q, k and v.
template <class A>
class Tiles {
 public:
  Tiles(const Tensor<A>& q, const Tensor<A>& k, bool causal, double scale)
      : q_{q}, k_{k}, causal_{causal}, scale_{scale} {}

  struct Tile {
    Index batch, begin, end;  ///< the rows of q
    Index seen;               ///< the rows of k and v that one of them sees
    Batch<A> probabilities;
    kernels::SoftmaxRows softmax;

    Batch<A> like(Tensor<A>& memory) const {
      auto other = probabilities;
      other.data = memory.data();
      return other;
    }
  };

  Shape tile_shape() const { return Shape{q_.shape()[2], std::min(rows, q_.shape()[1]), k_.shape()[1]}; }

  /// body(tile) with the probabilities of each.
  template <class Where, class Body>
  void for_each(Where where, Body body) const {
    const Index sequence = q_.shape()[1];
    const Index keys = k_.shape()[1];
    Tensor<A> memory(tile_shape(), q_.device());
    for (Index b = 0; b < q_.shape()[0]; ++b) {
      for (Index begin = 0; begin < sequence; begin += rows) {
        const Index end = std::min(begin + rows, sequence);
        const Index seen = causal_ ? std::min(end, keys) : keys;
        const Tile tile{b,
                        begin,
                        end,
                        seen,
                        {memory.data(), q_.shape()[2], (end - begin) * seen, end - begin, seen, seen},
                        {.factor = scale_, .period = causal_ ? end - begin : 0, .first = begin}};
        kernels::batched_matmul(where, heads<const A>(q_, b, begin, end), heads<const A>(k_, b, 0, seen),
                                Transposed::right, false, tile.probabilities);
        kernels::softmax_rows(where, all_rows(read(tile.probabilities)), tile.softmax, all_rows(tile.probabilities));
        body(tile);
      }
    }
  }

  static Batch<const A> read(const Batch<A>& x) { return {x.data, x.count, x.distance, x.rows, x.columns, x.stride}; }
  /// The rows of all matrices, which lie densely.
  template <class B>
  static kernels::Matrix<B> all_rows(const Batch<B>& x) {
    return {x.data, x.count * x.rows, x.columns, x.stride};
  }

 private:
  static constexpr Index rows = 128;

  const Tensor<A>& q_;
  const Tensor<A>& k_;
  bool causal_;
  double scale_;
};

}  // namespace

template <class T>
Variable<T> scaled_dot_product_attention(const Variable<T>& q, const Variable<T>& k, const Variable<T>& v,
                                         AttentionOptions options) {
  using A = Accumulator<T>;
  const auto placed = place(q.distribution(), k.distribution(), v.distribution());
  const bool causal = options.causal;
  const double scale = options.scale.value_or(1 / std::sqrt(static_cast<double>(q.shape()[3])));
  auto value = rounded<T>(placed, [&](auto where, Tensor<A>& out) {
    const auto queries = widened(q.value().local());
    const auto keys = widened(k.value().local());
    const auto values = widened(v.value().local());
    const Tiles<A> tiles(queries, keys, causal, scale);
    tiles.for_each(where, [&](const auto& tile) {
      kernels::batched_matmul(where, tiles.read(tile.probabilities), heads<const A>(values, tile.batch, 0, tile.seen),
                              Transposed::none, false, heads<A>(out, tile.batch, tile.begin, tile.end));
    });
  });
  auto result = Variable<T>::result(std::move(value), records(q, k, v));
  if (!result.requires_gradient()) return result;
  GradientTape::active()->record(
      "attention", [=, saved_q = Saved(q.value()), saved_k = Saved(k.value()), saved_v = Saved(v.value())] {
        const auto g = result.take_contributions();
        if (!g) return;
        const auto queries = widened(saved_q.get().local());
        const auto keys = widened(saved_k.get().local());
        const auto values = widened(saved_v.get().local());
        const auto upstream = widened(g->local());
        const Tiles<A> tiles(queries, keys, causal, scale);
        Tensor<A> memory(tiles.tile_shape(), queries.device());
        const auto gradient_of = [&](const Variable<T>& x) {
          return rules::input_gradient(x.distribution(), result.distribution());
        };
        std::optional<DistributedTensor<T>> to_k, to_v;
        auto to_q = rounded<T>(gradient_of(q), [&](auto where, Tensor<A>& out_q) {
          to_k = rounded<T>(gradient_of(k), [&](auto, Tensor<A>& out_k) {
            to_v = rounded<T>(gradient_of(v), [&](auto, Tensor<A>& out_v) {
              kernels::fill(where, out_k.data(), out_k.elements(), A{});
              kernels::fill(where, out_v.data(), out_v.elements(), A{});
              tiles.for_each(where, [&](const auto& tile) {
                const Index b = tile.batch;
                const auto seen = tile.seen;
                const auto p = tiles.read(tile.probabilities);
                const auto rows = heads<const A>(upstream, b, tile.begin, tile.end);
                const auto scores = tile.like(memory);
                using kernels::batched_matmul;
                batched_matmul(where, p, rows, Transposed::left, true, heads<A>(out_v, b, 0, seen));
                batched_matmul(where, rows, heads<const A>(values, b, 0, seen), Transposed::right, false, scores);
                kernels::softmax_rows_backward(where, tiles.all_rows(p), tiles.all_rows(tiles.read(scores)),
                                               tile.softmax, tiles.all_rows(scores));
                batched_matmul(where, tiles.read(scores), heads<const A>(keys, b, 0, seen), Transposed::none, false,
                               heads<A>(out_q, b, tile.begin, tile.end));
                batched_matmul(where, tiles.read(scores), heads<const A>(queries, b, tile.begin, tile.end),
                               Transposed::left, true, heads<A>(out_k, b, 0, seen));
              });
            });
          });
        });
        q.contribute(std::move(to_q));
        k.contribute(std::move(*to_k));
        v.contribute(std::move(*to_v));
      });
  return result;
}

#define INSTANTIATE(T)                                                                                          \
  template Variable<T> scaled_dot_product_attention(const Variable<T>&, const Variable<T>&, const Variable<T>&, \
                                                    AttentionOptions);
TARTAN_FOR_EACH_FLOATING_TYPE(INSTANTIATE)
#undef INSTANTIATE

}  // namespace tartan
