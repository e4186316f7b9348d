#include <tartan/nn/linear.hpp>

#include <algorithm>
#include <cmath>
#include <vector>

#include <tartan/autograd/operations.hpp>

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

/// (out, in), or (parts, out / parts, in).
Shape weight_shape(const LinearLayerOptions& o) {
  require(o.in_features >= 1 && o.out_features >= 1,
          "the linear layer '{}' needs in_features and out_features of at least 1, not {} and {}", o.name,
          o.in_features, o.out_features);
  require(o.parts >= 1 && o.out_features % o.parts == 0,
          "the linear layer '{}' cannot cut {} out_features into {} parts", o.name, o.out_features, o.parts);
  if (o.parts == 1) return {o.out_features, o.in_features};
  return {o.parts, o.out_features / o.parts, o.in_features};
}

/// The options with the sizes of a weight that is given.
LinearLayerOptions sized(LinearLayerOptions options, const Distribution& weight) {
  const auto& shape = weight.shape();
  const int last = shape.dimensions() - 1;
  require(last == 1 || last == 2,
          "the linear layer '{}' takes a weight (out, in) or (parts, out / parts, in), not one of the shape {}: {}",
          options.name, shape, weight);
  const auto fits = [](Index named, Index given, Index none) { return named == none || named == given; };
  const Index out = shape.elements(0, last);
  require(fits(options.out_features, out, 0) && fits(options.in_features, shape[last], 0) &&
              (last == 1 || fits(options.parts, shape[0], 1)),
          "the linear layer '{}' is said to have a weight of ({}, {}) in {} parts but was given one of {}",
          options.name, options.out_features, options.in_features, options.parts, shape);
  options.out_features = out;
  options.in_features = shape[last];
  if (last == 2) options.parts = shape[0];
  return options;
}

/// The extents of balanced blocks of whole units.
std::vector<Index> unit_blocks(Index extent, Index unit, Index count, const std::string& name) {
  require(unit >= 1 && extent % unit == 0, "the linear layer '{}' cannot cut {} features at multiples of {}", name,
          extent, unit);
  const auto units = Decomposition::balanced(extent / unit, count);
  std::vector<Index> extents;
  for (Index i = 0; i < count; ++i) extents.push_back(units.block(i).extent() * unit);
  return extents;
}

/// Collective where elements move. Elements of its own under the distribution `to`, whose shape may divide the
/// dimensions of the given one: it does not touch what `on_the_way` cuts.
template <class T>
DistributedTensor<T> taken(DistributedTensor<T> given, const Distribution& to, Placement on_the_way) {
  if (given.shape() != to.shape()) {
    const Placements placements(to.placements().size(), on_the_way);
    given = redistribute(given, Distribution(to.topology(), given.shape(), placements))
                .viewed_as(Distribution(to.topology(), to.shape(), placements));
  }
  const auto moved = redistribute(given, to);
  return moved.local().data() == given.local().data() ? moved.clone() : moved;
}

}  // namespace

template <class T>
DistributedLinear<T>::DistributedLinear(const CartesianTopology& topology, LinearLayerOptions options,
                                        const Shape& weight)
    : topology_(topology), options_(std::move(options)), axes_(axes_of(options_, topology.grid())) {
  const auto& name = options_.name;
  require(can_store(options_.storage),
          "the linear layer '{}' cannot store its parameters as {} along the data axis: Root, Replicate or Shard(0)",
          name, options_.storage);
  require(!options_.gather_output || axes_.out || !axes_.in,
          "the linear layer '{}' is given gather_output, which is of layers that split out_features (.dim = 1, "
          ".axes.out); this one splits in_features, and .output says where its output lies",
          name);
  require(options_.output.is_replicate() || axes_.in || !axes_.out,
          "the linear layer '{}' is given the output {}, which is of layers that split in_features (.dim = 0, "
          ".axes.in); this one splits out_features, and .gather_output makes its output whole",
          name, options_.output);
  const auto& grid = topology.grid();
  const int last = weight.dimensions() - 1;
  Placements placements(static_cast<std::size_t>(grid.axes()), Replicate{});
  DistributionOptions how{.nesting = nesting(axes_, grid.axes())};
  const auto split = [&](const std::optional<int>& axis, int dim, Index unit) {
    const auto extents = unit_blocks(weight[dim], unit, axis ? grid.extent(*axis) : 1, name);
    if (!axis) return;
    placements[static_cast<std::size_t>(*axis)] = Shard{dim};
    if (unit > 1) how.block_extents[*axis] = extents;
  };
  split(axes_.out, last - 1, options_.out_unit);
  split(axes_.in, last, options_.in_unit);
  applied_ = Distribution(topology, weight, std::move(placements), std::move(how));
  // Storage cuts the same dimension once more where it is that of the rows.
  if (axes_.data && axes_.out && last == 1 && options_.storage.is_shard()) {
    require(!applied_.blocks(*axes_.out),
            "the linear layer '{}' has {} units of {} rows over {} ranks, uneven blocks that Shard(0) storage cannot "
            "cut further: Root or Replicate",
            name, weight[0] / options_.out_unit, options_.out_unit, grid.extent(*axes_.out));
  }
}

template <class T>
Distribution DistributedLinear<T>::applied_bias() const {
  const int last = applied_.shape().dimensions() - 1;
  auto placements = applied_.placements();
  auto options = applied_.options();
  if (axes_.in) {
    placements[static_cast<std::size_t>(*axes_.in)] = Replicate{};
    options.block_extents.erase(*axes_.in);
  }
  return {topology_, applied_.shape().without(last), std::move(placements), std::move(options)};
}

template <class T>
Distribution DistributedLinear<T>::stored(const Distribution& applied) const {
  return axes_.data ? applied.with(*axes_.data, options_.storage) : applied;
}

template <class T>
AppliedParameter<T> DistributedLinear<T>::kept(const std::string& name, DistributedTensor<T> value,
                                               const Distribution& applied) {
  if (options_.freeze) return {Variable<T>(std::move(value)), applied};
  return {this->add_parameter(options_.name + name, std::move(value)), applied};
}

template <class T>
AppliedParameter<T> DistributedLinear<T>::initialized(const std::string& name, const Initializer& initial,
                                                      const Distribution& applied) {
  const double bound = 1 / std::sqrt(static_cast<double>(options_.in_features));
  return kept(name,
              initial_values<T>(stored(applied), initial ? initial : initializers::uniform(-bound, bound),
                                options_.seed, options_.name + name),
              applied);
}

template <class T>
DistributedLinear<T>::DistributedLinear(const CartesianTopology& topology, LinearLayerOptions options)
    : DistributedLinear(topology, options, weight_shape(options)) {
  weight_ = initialized(".weight", options_.initial_weight, applied_);
  if (options_.bias) bias_ = initialized(".bias", options_.initial_bias, applied_bias());
}

template <class T>
DistributedLinear<T>::DistributedLinear(const CartesianTopology& topology, const DistributedTensor<T>& weight,
                                        const DistributedTensor<T>& bias, LinearLayerOptions options)
    : DistributedLinear(topology, sized(options, weight.distribution()),
                        weight_shape(sized(options, weight.distribution()))) {
  const auto rows = applied_bias();
  options_.bias = !bias.is_null();
  require(!options_.bias || bias.shape() == rows.shape() || bias.shape() == Shape{options_.out_features},
          "the linear layer '{}' takes a bias of the shape {}, not one of the shape {}", options_.name, rows.shape(),
          options_.bias ? bias.shape() : Shape{});
  // By columns, the parts of a weight's rows are contiguous on every rank, none of which has all of it.
  weight_ = kept(".weight", taken(weight, stored(applied_), Shard{-1}), applied_);
  if (options_.bias) bias_ = kept(".bias", taken(bias, stored(rows), Replicate{}), rows);
}

template <class T>
DistributedLinear<T>::DistributedLinear(const Variable<T>& weight, LinearLayerOptions options)
    : DistributedLinear(weight.topology(), sized(options, weight.distribution()), weight.shape()) {
  shared_weight_ = weight;
  const auto& d = weight.distribution();
  const auto expected = axes_.data ? applied_.with(*axes_.data, d.placement(*axes_.data)) : applied_;
  require(d.placements() == expected.placements() && (!axes_.data || can_store(d.placement(*axes_.data))),
          "the linear layer '{}' was given a weight of {}, but its axes (.axes, .dim) ask for {}, along the data axis "
          "Root, Replicate or Shard(0)",
          options_.name, d, applied_);
  if (axes_.data) options_.storage = d.placement(*axes_.data);
  applied_ = axes_.data ? d.with(*axes_.data, Replicate{}) : d;  // with the weight's own blocks
  weight_ = AppliedParameter<T>(options_.freeze ? Variable<T>(weight.value()) : weight, applied_);
  if (options_.bias) bias_ = initialized(".bias", options_.initial_bias, applied_bias());
}

template <class T>
Variable<T> DistributedLinear<T>::weight_in_use() const {
  return weight_();
}

template <class T>
Variable<T> DistributedLinear<T>::bias_in_use() const {
  return bias_();
}

template <class T>
Variable<T> DistributedLinear<T>::moved(const Variable<T>& x) const {
  const auto& d = x.distribution();
  const int last = d.shape().dimensions() - 1;
  require(d.topology() == topology_,
          "the linear layer '{}' lies as {} and takes x on the same topology, not {}; redistribute(x, "
          "layer.input_distribution(x.shape()))",
          options_.name, applied_, d);
  auto placements = d.placements();
  auto how = d.options();
  std::optional<int> cut;  // an axis that cuts features which this layer needs whole
  for (int axis = 0; axis < d.grid().axes(); ++axis) {
    auto& placement = placements[static_cast<std::size_t>(axis)];
    const bool features = placement.is_shard(last);
    if (axis == axes_.in) {
      placement = Shard{last};
      how.block_extents.erase(axis);
      if (const auto blocks = applied_.options().block_extents; blocks.contains(axis)) {
        how.block_extents[axis] = blocks.at(axis);
      }
    } else if (features || (axis == axes_.out && (placement.is_shard() || placement.is_root()))) {
      placement = Replicate{};
      how.block_extents.erase(axis);
      if (features && d.grid().extent(axis) > 1) cut = axis;
    }
  }
  if (cut) {
    fail(
        "the linear layer '{}' takes the features of x whole along axis {}, not x of {} with its weight of {}: name "
        "that axis .axes.in{}, or pass redistribute(x, {})",
        options_.name, *cut, d, applied_, !options_.axes && *cut == d.grid().axes() - 1 ? " (.dim = 0)" : "",
        to_string(placements));
  }
  if (placements == d.placements() && how.block_extents == d.options().block_extents) return x;
  return redistribute(x, d.with(std::move(placements), std::move(how)));
}

template <class T>
Variable<T> DistributedLinear<T>::operator()(const Variable<T>& x) const {
  const int last = x.shape().dimensions() - 1;
  require(last >= 0 && x.shape()[last] == options_.in_features,
          "the linear layer '{}' takes x (..., {}), not one of the shape {}", options_.name, options_.in_features,
          x.shape());
  const int dims = last + applied_.shape().dimensions() - 1;
  const auto& output = options_.output;
  require(!axes_.in || !output.is_shard() || (-dims <= output.dim() && output.dim() < dims),
          "the linear layer '{}' cannot give its output of {} dimensions as {} along the in axis", options_.name, dims,
          output);
  auto y = functional::linear(moved(x), weight_(), bias_(), {.overlap = options_.overlap});
  if (!axes_.in && !(axes_.out && options_.gather_output)) return y;

  const auto& d = y.distribution();
  auto placements = d.placements();
  auto how = d.options();
  if (axes_.out && options_.gather_output) {
    placements[static_cast<std::size_t>(*axes_.out)] = Replicate{};
    how.block_extents.erase(*axes_.out);
  }
  if (axes_.in) {
    placements[static_cast<std::size_t>(*axes_.in)] = output;
    // Two axes can share a dimension in balanced blocks only.
    std::erase_if(how.block_extents, [&](const auto& entry) {
      return output.is_shard() && d.placement(entry.first).is_shard((output.dim() + dims) % dims);
    });
  }
  return redistribute(y, d.with(std::move(placements), std::move(how)));
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
