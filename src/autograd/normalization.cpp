#include <tartan/autograd/normalization.hpp>

#include <limits>

#include <tartan/autograd/tape.hpp>
#include <tartan/distributed/combine.hpp>

#include "autograd/rules.hpp"
#include "base/element_types.hpp"
#include "kernels/normalization.hpp"
#include "tensor/rows_of.hpp"

namespace tartan::functional {
namespace {

using kernels::Moments;
using rules::computed;

/// The distribution that a weight or a bias of x must have.
Distribution parameter_distribution(const char* name, const Distribution& x) {
  rules::refuse_partial(name, x);
  const int last = x.shape().dimensions() - 1;
  require(last >= 0, "{} takes rows, not a number placed as {}", name, x);
  auto placements = x.placements();
  auto options = x.options();
  for (int axis = 0; axis < x.grid().axes(); ++axis) {
    if (!x.placement(axis).is_shard()) continue;
    const bool along_rows = x.placement(axis).is_shard(last);
    placements[static_cast<std::size_t>(axis)] = along_rows ? Placement(Shard{0}) : Replicate{};
    if (!along_rows) options.block_extents.erase(axis);
  }
  return {x.topology(), Shape{x.shape()[last]}, std::move(placements), std::move(options)};
}

/// Where x, placed as `x`, goes with a parameter that stays placed as `parameter`.
Placements beside(const Distribution& parameter, const Distribution& x) {
  const int last = x.shape().dimensions() - 1;
  auto placements = x.placements();
  for (std::size_t axis = 0; axis < placements.size(); ++axis) {
    const auto given = parameter.placements()[axis];
    const bool cuts_rows = placements[axis].is_shard() && !placements[axis].is_shard(last);
    if (given.is_shard()) placements[axis] = Shard{last};
    if (given.is_root() || (given.is_replicate() && !cuts_rows)) placements[axis] = given;
  }
  return placements;
}

template <class T>
void require_parameter(const char* name, const char* what, const Variable<T>& parameter, const Distribution& expected,
                       const Distribution& x) {
  if (parameter.is_null() || parameter.distribution() == expected) return;
  const auto& given = parameter.distribution();
  auto way_out = rules::hint(what, given, expected);
  if (!way_out.empty()) {
    const auto cut = x.axes_of(x.shape().dimensions() - 1);
    way_out += fmt::format(", or where a layer has it, {}redistribute(x, {})",
                           cut.empty() ? "" : fmt::format(".features_axis = {} or ", cut[0]), beside(given, x));
  }
  fail("{} of x placed as {} takes a {} placed as {}, not {}{}", name, x, what, expected, given, way_out);
}

/// Moments as a tensor of three numbers each.
Moments* moments_in(Tensor<double>& numbers) { return reinterpret_cast<Moments*>(numbers.data()); }
const Moments* moments_in(const Tensor<double>& numbers) { return reinterpret_cast<const Moments*>(numbers.data()); }
static_assert(sizeof(Moments) == 3 * sizeof(double));

/// Those of the rows of x, whole.
template <class T>
Tensor<double> moments_of(const DistributedTensor<T>& x, bool centred, const std::vector<int>& axes) {
  const auto rows = rows_of(x.local());
  Tensor<double> mine(Shape{3 * rows.rows}, x.local().device());
  kernels::on(mine.device(), [&](auto where) { kernels::row_moments(where, rows, centred, moments_in(mine)); });
  if (axes.empty()) return mine;
  const auto all = gather_along(x.topology(), axes, mine);
  const Index parts = mine.elements() > 0 ? all.elements() / mine.elements() : 0;
  Tensor<double> merged(mine.shape(), mine.device());
  kernels::on(mine.device(), [&](auto where) {
    kernels::merge_moments(where, moments_in(all), parts, rows.rows, moments_in(merged));
  });
  return merged;
}

/// Where the gradient of a parameter placed as `parameter` is, from rows placed as `x`.
Distribution parameter_gradient(const Distribution& parameter, const Distribution& x) {
  auto placements = parameter.placements();
  for (std::size_t axis = 0; axis < placements.size(); ++axis) {
    placements[axis] = rules::input_gradient(placements[axis], x.placements()[axis]);
  }
  return parameter.with(std::move(placements));
}

template <class T>
const T* data_of(const DistributedTensor<T>& parameter) {
  return parameter.is_null() ? nullptr : parameter.local().data();
}

template <class T>
Variable<T> normalized(const char* name, const Variable<T>& x, const Variable<T>& weight, const Variable<T>& bias,
                       double epsilon, bool centred) {
  const auto d = x.distribution();
  const auto expected = parameter_distribution(name, d);
  require_parameter(name, "weight", weight, expected, d);
  require_parameter(name, "bias", bias, expected, d);
  require(epsilon >= 0, "{} takes an epsilon of at least 0, not {}", name, epsilon);
  const auto value_of = [](const Variable<T>& v) { return v.is_null() ? DistributedTensor<T>() : v.value(); };
  const auto axes = d.axes_of(d.shape().dimensions() - 1);
  const auto moments = moments_of(x.value(), centred, axes);
  const auto rows = [epsilon, moments](const DistributedTensor<T>& from, const DistributedTensor<T>& factors) {
    return kernels::NormalizedRows<T>{rows_of(from.local()), moments_in(moments), epsilon, data_of(factors)};
  };
  auto value = computed<T>(d, [&](auto where, Tensor<T>& out) {
    kernels::normalize_rows(where, rows(x.value(), value_of(weight)), data_of(value_of(bias)), rows_of(out));
  });
  auto result = Variable<T>::result(std::move(value), records(x, weight, bias));
  if (!result.requires_gradient()) return result;
  GradientTape::active()->record(name, [=, saved = Saved(x.value()), factors = Saved(value_of(weight))] {
    const auto g = result.take_contributions();
    if (!g) return;
    const auto normal = rows(saved.get(), factors.get());
    const auto upstream = rows_of(g->local());
    if (x.requires_gradient()) {
      Tensor<double> sums(Shape{2 * upstream.rows}, g->local().device());
      kernels::on(sums.device(),
                  [&](auto where) { kernels::normalization_sums(where, normal, upstream, sums.data()); });
      combine_along(d.topology(), axes, sums);
      x.contribute(computed<T>(rules::input_gradient(d, d), [&](auto where, Tensor<T>& out) {
        kernels::normalize_rows_backward(where, normal, upstream, sums.data(), centred, rows_of(out));
      }));
    }
    std::optional<DistributedTensor<T>> to_weight, to_bias;
    const auto memory_for = [&](const Variable<T>& parameter, std::optional<DistributedTensor<T>>& gradient) {
      T* data = nullptr;
      if (!parameter.is_null() && parameter.requires_gradient()) {
        gradient.emplace(parameter_gradient(expected, d));
        gradient->modify([&](Tensor<T>& out) { data = out.data(); });
      }
      return data;
    };
    T* const weights = memory_for(weight, to_weight);
    T* const biases = memory_for(bias, to_bias);
    if (weights != nullptr || biases != nullptr) {
      kernels::on(g->local().device(),
                  [&](auto where) { kernels::normalization_column_sums(where, normal, upstream, weights, biases); });
    }
    if (to_weight) weight.contribute(*to_weight);
    if (to_bias) bias.contribute(*to_bias);
  });
  return result;
}

}  // namespace

template <class T>
Variable<T> layer_norm(const Variable<T>& x, const Variable<T>& weight, const Variable<T>& bias, double epsilon) {
  return normalized("layer_norm", x, weight, bias, epsilon, true);
}

template <class T>
Variable<T> rms_norm(const Variable<T>& x, const Variable<T>& weight, std::optional<double> epsilon) {
  return normalized("rms_norm", x, weight, {}, epsilon.value_or(static_cast<double>(std::numeric_limits<T>::epsilon())),
                    false);
}

#define INSTANTIATE(T)                                                                                 \
  template Variable<T> layer_norm(const Variable<T>&, const Variable<T>&, const Variable<T>&, double); \
  template Variable<T> rms_norm(const Variable<T>&, const Variable<T>&, std::optional<double>);
TARTAN_FOR_EACH_FLOATING_TYPE(INSTANTIATE)
#undef INSTANTIATE

}  // namespace tartan::functional
