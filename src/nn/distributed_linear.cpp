#include <tartan/nn/linear.hpp>

#include <algorithm>
#include <cmath>
#include <vector>

#include <tartan/autograd/operations.hpp>
#include <tartan/nn/initializers.hpp>

#include "base/element_types.hpp"
#include "base/fail.hpp"

namespace tartan {
namespace {

LinearAxes axes_of(const LinearLayerOptions& options, const Grid& grid) {
  const auto& name = options.name;
  LinearAxes result;
  if (options.axes) {
    require(!options.dim, "the linear layer '{}' is given both .axes and .dim, which say the same", name);
    result = *options.axes;
  } else {
    const int last = grid.axes() - 1;
    require(!options.dim || (-1 <= *options.dim && *options.dim <= 1),
            "the linear layer '{}' has dim {}: 0 splits in_features, 1 or -1 out_features", name,
            options.dim.value_or(0));
    require(!options.dim || last >= 0, "the linear layer '{}' has a dim to split over a grid without axes", name);
    if (options.dim) (*options.dim == 0 ? result.in : result.out) = last;
    if (last >= (options.dim ? 1 : 0)) result.data = 0;
  }
  std::vector<int> used;
  for (const auto& axis : {result.data, result.out, result.in}) {
    if (!axis) continue;
    require(0 <= *axis && *axis < grid.axes(), "the linear layer '{}' names axis {} of a grid of {} axes", name, *axis,
            grid.axes());
    require(std::ranges::find(used, *axis) == used.end(), "the linear layer '{}' names axis {} twice", name, *axis);
    used.push_back(*axis);
  }
  return result;
}

/// `out` nests outside data, so that one all-gather along the data axis makes a rank's rows whole.
std::vector<int> nesting(const LinearAxes& axes, int count) {
  std::vector<int> result;
  if (axes.out) result.push_back(*axes.out);
  for (int axis = 0; axis < count; ++axis) {
    if (axis != axes.out) result.push_back(axis);
  }
  return result;
}

bool can_store(Placement placement) { return placement.is_root() || placement.is_replicate() || placement.is_shard(0); }

template <class T>
const Shape& matrix_shape(const Variable<T>& weight, const std::string& name) {
  require(weight.shape().dimensions() == 2, "the linear layer '{}' takes a weight of two dimensions, not {}", name,
          weight.distribution());
  return weight.shape();
}

}  // namespace

template <class T>
DistributedLinear<T>::DistributedLinear(const CartesianTopology& topology, LinearLayerOptions options, Index out,
                                        Index in)
    : topology_(topology), options_(std::move(options)), axes_(axes_of(options_, topology.grid())) {
  const auto& name = options_.name;
  require(in >= 1 && out >= 1, "the linear layer '{}' needs in_features and out_features of at least 1, not {} and {}",
          name, in, out);
  options_.in_features = in;
  options_.out_features = out;
  require(can_store(options_.storage),
          "the linear layer '{}' cannot store its parameters as {} along the data axis: Root, Replicate or Shard(0)",
          name, options_.storage);
  require(!options_.output.is_root(),
          "the linear layer '{}' cannot give its output as Root along the in axis: Partial, Replicate or Shard(d)",
          name);
  const int count = topology.grid().axes();
  Placements placements(static_cast<std::size_t>(count), Replicate{});
  if (axes_.out) placements[static_cast<std::size_t>(*axes_.out)] = Shard{0};
  if (axes_.in) placements[static_cast<std::size_t>(*axes_.in)] = Shard{1};
  applied_ = Distribution(topology, Shape{out, in}, std::move(placements), {.nesting = nesting(axes_, count)});
}

template <class T>
DistributedLinear<T>::DistributedLinear(const CartesianTopology& topology, LinearLayerOptions options)
    : DistributedLinear(topology, options, options.out_features, options.in_features) {
  const auto name = options_.name + ".weight";
  const Index in = options_.in_features;
  const double bound = 1 / std::sqrt(static_cast<double>(in));
  const auto stored = axes_.data ? applied_.with(*axes_.data, options_.storage) : applied_;
  weight_ = AppliedParameter<T>(
      this->add_parameter(
          name,
          DistributedTensor<T>::from_function(
              stored, [&, initial = initializers::uniform(-bound, bound), stream = RandomStream(options_.seed, name)](
                          std::span<const Index> i) { return initial(stream, i[0] * in + i[1]); })),
      applied_);
  add_bias();
}

template <class T>
DistributedLinear<T>::DistributedLinear(const Variable<T>& weight, LinearLayerOptions options)
    : DistributedLinear(weight.topology(), options, matrix_shape(weight, options.name)[0],
                        matrix_shape(weight, options.name)[1]) {
  const auto fits = [](Index named, Index given) { return named == 0 || named == given; };
  const auto& d = weight.distribution();
  require(fits(options.out_features, d.shape()[0]) && fits(options.in_features, d.shape()[1]),
          "the linear layer '{}' is said to have a weight of ({}, {}) but was given one of {}", options_.name,
          options.out_features, options.in_features, d.shape());
  const auto expected = axes_.data ? applied_.with(*axes_.data, d.placement(*axes_.data)) : applied_;
  require(d.placements() == expected.placements() && (!axes_.data || can_store(d.placement(*axes_.data))),
          "the linear layer '{}' was given a weight of {}, but its axes (.axes, .dim) ask for {}, along the data axis "
          "Root, Replicate or Shard(0)",
          options_.name, d, applied_);
  if (axes_.data) options_.storage = d.placement(*axes_.data);
  applied_ = axes_.data ? d.with(*axes_.data, Replicate{}) : d;  // with the weight's own blocks
  weight_ = AppliedParameter<T>(weight, applied_);
  add_bias();
}

template <class T>
void DistributedLinear<T>::add_bias() {
  if (!options_.bias) return;
  // As the rows of the weight.
  auto placements = applied_.placements();
  auto options = applied_.options();
  if (axes_.in) {
    placements[static_cast<std::size_t>(*axes_.in)] = Replicate{};
    options.block_extents.erase(*axes_.in);
  }
  const Distribution applied(topology_, Shape{options_.out_features}, std::move(placements), std::move(options));
  const auto stored = axes_.data ? applied.with(*axes_.data, options_.storage) : applied;
  const auto name = options_.name + ".bias";
  const double bound = 1 / std::sqrt(static_cast<double>(options_.in_features));
  bias_ = AppliedParameter<T>(
      this->add_parameter(name, DistributedTensor<T>::from_function(
                                    stored, [initial = initializers::uniform(-bound, bound),
                                             stream = RandomStream(options_.seed, name)](
                                                std::span<const Index> i) { return initial(stream, i[0]); })),
      applied);
}

template <class T>
Variable<T> DistributedLinear<T>::operator()(const Variable<T>& x) const {
  const int last = x.shape().dimensions() - 1;
  require(last >= 0 && x.shape()[last] == options_.in_features,
          "the linear layer '{}' takes x (..., {}), not one of the shape {}", options_.name, options_.in_features,
          x.shape());
  if (!axes_.in) return functional::linear(x, weight_(), bias_());

  const int in = *axes_.in;
  auto input = x;
  if (x.topology() == topology_ && x.distribution().placement(in).is_replicate()) {
    // The part that meets this rank's part of the weight.
    auto placements = x.distribution().placements();
    placements[static_cast<std::size_t>(in)] = Shard{last};
    auto options = x.distribution().options();
    if (const auto blocks = applied_.options().block_extents; blocks.contains(in)) {
      options.block_extents[in] = blocks.at(in);
    }
    input = redistribute(x, x.distribution().with(std::move(placements), std::move(options)));
  }
  const auto y = functional::linear(input, weight_(), bias_());
  return redistribute(y, y.distribution().with(in, options_.output));
}

template <class T>
Distribution DistributedLinear<T>::input_distribution(const Shape& shape) const {
  Placements placements(static_cast<std::size_t>(topology_.grid().axes()), Replicate{});
  if (axes_.data && shape.dimensions() > 1) placements[static_cast<std::size_t>(*axes_.data)] = Shard{0};
  return {topology_, shape, std::move(placements)};
}

#define INSTANTIATE(T) template class DistributedLinear<T>;
TARTAN_FOR_EACH_FLOATING_TYPE(INSTANTIATE)
#undef INSTANTIATE

}  // namespace tartan
