#include <algorithm>
#include <optional>
#include <type_traits>

#include "base/element_types.hpp"
#include "kernels/matmul.hpp"
#include "nn/class_loss.hpp"
#include "nn/linear_placement.hpp"
#include "tensor/rows_of.hpp"

namespace tartan::functional {
namespace {

/// This rank's part of a product whose result, the logits, is never whole: columns begin to end - 1 of it at a time.
template <class T>
struct Head {
  Tensor<T> x, weight;
  std::optional<Tensor<T>> bias;
  Index rows;  ///< of x and of the logits
  Index width;

  Head(const Tensor<T>& rows_of_x, const Tensor<T>& w, std::optional<Tensor<T>> b, Index count, Index tile_classes)
      : x{rows_of_x}, weight{w}, bias{std::move(b)}, rows{count}, width{tile_classes} {
    constexpr Index tile_bytes = Index{8} << 20;
    if (width == 0) width = std::max<Index>(64, tile_bytes / std::max<Index>(1, rows * Index{sizeof(T)}));
    width = std::clamp<Index>(width, 1, std::max<Index>(1, classes()));
  }

  Index classes() const { return weight.shape()[0]; }
  kernels::Matrix<const T> inputs() const { return {x.data(), rows, weight.shape()[1], weight.shape()[1]}; }
  kernels::Matrix<const T> weights(Index begin, Index end) const { return rows_of(weight).part(begin, end); }
  Tensor<T> tile() const { return Tensor<T>(Shape{rows, width}, x.device()); }

  /// The logits, in the memory of `tile`.
  template <class Where>
  kernels::Matrix<T> logits(Where where, Index begin, Index end, Tensor<T>& tile) const {
    const kernels::Matrix<T> out{tile.data(), rows, end - begin, end - begin};
    kernels::matmul_transposed_right(where, inputs(), weights(begin, end), out);
    if (bias) kernels::add_to_rows(where, bias->data() + begin, out);
    return out;
  }
  template <class Body>
  void for_each_tile(Body body) const {
    for (Index begin = 0; begin < classes(); begin += width) body(begin, std::min(begin + width, classes()));
  }
};

template <class T>
kernels::Matrix<const T> read(kernels::Matrix<T> matrix) {
  return {matrix.data, matrix.rows, matrix.columns, matrix.stride};
}

/// The statistics of all of this rank's classes: tiles are shards, too.
template <class T, class I>
DistributedTensor<double> shard_statistics(const Head<T>& head, const classes::Question<T, I>& question) {
  const int fields = question.fields;
  return rules::computed<double>(
      classes::with_columns(question.layout.rows, fields), [&](auto where, Tensor<double>& out) {
        if (out.elements() == 0) return;
        auto tile = head.tile();
        Tensor<double> both(Shape{2, head.rows, fields}, out.device());  // of the tiles so far, and of one more
        const auto add = [&](kernels::Matrix<const T> logits, Index begin, double* statistics) {
          const T* const weights = question.local_weights() == nullptr ? nullptr : question.local_weights() + begin;
          kernels::class_statistics(where, logits, weights, fields, statistics);
          kernels::pick_targets(where, logits, question.targets.get().local().data(),
                                question.layout.mine.begin + begin, question.loss.ignored, weights, fields, statistics);
        };
        if (head.classes() == 0) add({tile.data(), head.rows, 0, 0}, 0, both.data());
        head.for_each_tile([&](Index begin, Index end) {
          const auto logits = read(head.logits(where, begin, end, tile));
          add(logits, begin, both.data() + (begin == 0 ? 0 : head.rows * fields));
          if (begin > 0) kernels::combine_shards(where, both.data(), 2, head.rows, fields, both.data());
        });
        kernels::combine_shards(where, both.data(), 1, head.rows, fields, out.data());
      });
}

/// A sum of products with tiles, each rounded to T: added in the accumulator's type and rounded once more.
template <class T>
class SumOfProducts {
 public:
  SumOfProducts(Shape shape, Device device) : shape_{std::move(shape)}, device_{device} {}

  template <class Where, class Product>
  void add(Where where, Product product) {
    using A = Accumulator<T>;
    Tensor<T> term(shape_, device_);
    product(term);
    Tensor<A> wide = [&] {
      if constexpr (std::is_same_v<A, T>) {
        return term;
      } else {
        Tensor<A> copy(shape_, device_);
        kernels::widen(where, term.data(), term.elements(), copy.data());
        return copy;
      }
    }();
    if (sum_) {
      kernels::add(where, sum_->data(), wide.data(), wide.elements(), sum_->data());
    } else {
      sum_ = wide;
    }
  }
  template <class Where>
  void write(Where where, Tensor<T>& out) const {
    if (!sum_) {
      kernels::fill(where, out.data(), out.elements(), T{});
    } else if constexpr (std::is_same_v<Accumulator<T>, T>) {
      kernels::scale(where, sum_->data(), T{1}, out.elements(), out.data());
    } else {
      kernels::round_to(where, sum_->data(), out.elements(), out.data());
    }
  }

 private:
  Shape shape_;
  Device device_;
  std::optional<Tensor<Accumulator<T>>> sum_;
};

}  // namespace

template <class T, class I>
Variable<T> linear_cross_entropy(const Variable<T>& x, const Variable<T>& weight, const Variable<T>& bias,
                                 const DistributedTensor<I>& targets,
                                 const CrossEntropyOptions<std::type_identity_t<T>>& options, Index tile_classes) {
  require(weight.shape().dimensions() == 2, "linear cross-entropy takes a weight (classes, in), not {}",
          weight.distribution());
  require(tile_classes >= 0, "linear cross-entropy takes 0 or more tile_classes, not {}", tile_classes);
  const auto placed =
      linear_rule::place(x.distribution(), weight.distribution(), bias.is_null() ? nullptr : &bias.distribution());
  require(!placed.result.any(Placement::Kind::partial) && !placed.result.any(Placement::Kind::root),
          "linear cross-entropy takes a weight that is cut in its classes, Shard(0), or Replicate, and an x of whole "
          "features that is neither Partial nor Root, not x placed as {} with a weight placed as {}; redistribute them "
          "first",
          x.distribution(), weight.distribution());
  const auto question = classes::ask<T, I>(placed.result, targets, options);
  std::vector<Saved<T>> operands{Saved(x.value()), Saved(weight.value())};
  if (!bias.is_null()) operands.emplace_back(bias.value());
  const auto head = [operands, rows = targets.local().elements(), tile_classes] {
    return Head<T>(operands[0].get().local(), operands[1].get().local(),
                   operands.size() > 2 ? operands[2].get().local() : std::optional<Tensor<T>>(), rows, tile_classes);
  };
  auto statistics = shard_statistics(head(), question);
  statistics = classes::combined(std::move(statistics), question.layout, question.ordered);
  auto [value, totals] = classes::answer(question, statistics);

  auto result = Variable<T>::result(std::move(value), records(x, weight, bias));
  if (result.requires_gradient()) {
    GradientTape::active()->record(
        "linear cross-entropy", [x, weight, bias, result, placed, question, statistics, head, totals = totals] {
          const auto g = result.take_contributions();
          if (!g) return;
          const auto parts = head();
          const auto* const labels = question.targets.get().local().data();
          const auto* const weights_of_classes = question.local_weights();
          auto to_weight = weight.requires_gradient() ? DistributedTensor<T>(placed.to_weight) : DistributedTensor<T>();
          auto to_bias = bias.requires_gradient() ? DistributedTensor<T>(placed.to_bias) : DistributedTensor<T>();
          auto to_x = rules::computed<T>(placed.to_x, [&](auto where, Tensor<T>& out) {
            // Without rows there are still gradients, which are 0.
            auto tile = parts.tile();
            SumOfProducts<T> sum(out.shape(), out.device());
            const auto of = [&](DistributedTensor<T>& gradient, auto write) {
              if (!gradient.is_null()) gradient.modify(write);
            };
            parts.for_each_tile([&](Index begin, Index end) {
              const auto logits = parts.logits(where, begin, end, tile);
              const T* const class_weights = weights_of_classes == nullptr ? nullptr : weights_of_classes + begin;
              kernels::class_losses_backward(where, read(logits), labels, question.layout.mine.begin + begin,
                                             class_weights, statistics.local().data(), question.fields, question.loss,
                                             classes::upstream(question.reduction, *g, totals), logits);
              const auto slopes = read(logits);
              of(to_weight, [&](Tensor<T>& local) {
                kernels::matmul_transposed_left(where, slopes, parts.inputs(), rows_of(local).part(begin, end));
              });
              of(to_bias, [&](Tensor<T>& local) { kernels::column_sums(where, slopes, local.data() + begin); });
              if (!x.requires_gradient()) return;
              sum.add(where, [&](Tensor<T>& term) {
                kernels::matmul(
                    where, slopes, parts.weights(begin, end),
                    kernels::Matrix<T>{term.data(), parts.rows, parts.weight.shape()[1], parts.weight.shape()[1]});
              });
            });
            if (x.requires_gradient()) sum.write(where, out);
          });
          x.contribute(std::move(to_x));
          if (!to_weight.is_null()) weight.contribute(std::move(to_weight));
          if (!to_bias.is_null()) bias.contribute(std::move(to_bias));
        });
  }
  return result;
}

#define INSTANTIATE(T, I)                                                                               \
  template Variable<T> linear_cross_entropy(const Variable<T>&, const Variable<T>&, const Variable<T>&, \
                                            const DistributedTensor<I>&, const CrossEntropyOptions<T>&, Index);
TARTAN_FOR_EACH_LOOKUP(INSTANTIATE)
#undef INSTANTIATE

}  // namespace tartan::functional
