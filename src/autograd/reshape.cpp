#include <tartan/autograd/shapes.hpp>

#include <numeric>

#include <tartan/autograd/tape.hpp>

#include "autograd/rules.hpp"
#include "base/element_types.hpp"

namespace tartan {
namespace {

/// Dimensions [begin, end) of the old shape that become those of the new one: as many elements.
struct Group {
  int begin, end;
  int new_begin, new_end;
};

/// The smallest groups, in order; the last takes what is left where extents of 0 hide what belongs together.
std::vector<Group> groups_of(const Shape& from, const Shape& to) {
  std::vector<Group> groups;
  int i = 0, k = 0;
  while (i < from.dimensions() || k < to.dimensions()) {
    Group group{i, i, k, k};
    Index old_elements = i < from.dimensions() ? from[i++] : 1;
    Index new_elements = k < to.dimensions() ? to[k++] : 1;
    while (old_elements != new_elements && (i < from.dimensions() || k < to.dimensions())) {
      if (i < from.dimensions() && (old_elements < new_elements || k == to.dimensions())) {
        old_elements *= from[i++];
      } else {
        new_elements *= to[k++];
      }
    }
    group.end = i;
    group.new_end = k;
    groups.push_back(group);
  }
  return groups;
}

/// The first of the dimensions [begin, end) that is not 1; the first of all where all are.
int leading(const Shape& shape, int begin, int end) {
  for (int dim = begin; dim < end; ++dim) {
    if (shape[dim] != 1) return dim;
  }
  return begin;
}

/// What becomes of a sharded dimension: `rows` of it have as many elements as `new_rows` of dimension `to`.
struct Cut {
  int to;
  Index rows;
  Index new_rows;
};

Cut follow(const Distribution& d, const Shape& shape, const std::vector<Group>& groups, int dim) {
  for (const auto& group : groups) {
    if (dim < group.begin || dim >= group.end) continue;
    if (group.end - group.begin == 1 && group.new_end - group.new_begin == 1) return {group.new_begin, 1, 1};
    require(dim == leading(d.shape(), group.begin, group.end) && group.new_begin < group.new_end,
            "a reshape of {} to {} would merge its sharded dimension {} with one before it; redistribute it first", d,
            shape, dim);
    const int to = leading(shape, group.new_begin, group.new_end);
    if (d.shape().elements() == 0) return {to, 0, 0};
    const Index row = d.shape().elements(dim + 1, group.end);
    const Index new_row = shape.elements(to + 1, group.new_end);
    const Index common = std::gcd(row, new_row);
    return {to, new_row / common, row / common};
  }
  fail("a reshape of {} to {} lost its dimension {}", d, shape, dim);
}

std::vector<Index> multiples(const Decomposition& blocks, Index factor) {
  std::vector<Index> extents;
  for (Index part = 0; part < blocks.parts(); ++part) extents.push_back(blocks.block(part).extent() * factor);
  return extents;
}

Distribution reshaped(const Distribution& d, const Shape& shape) {
  require(d.shape().elements() == shape.elements(), "a reshape of {} to {} would change the number of elements", d,
          shape);
  const auto groups = groups_of(d.shape(), shape);
  auto placements = d.placements();
  DistributionOptions options{.nesting = d.nesting()};
  for (int axis = 0; axis < d.grid().axes(); ++axis) {
    const auto placement = d.placement(axis);
    if (!placement.is_shard()) continue;
    const int dim = placement.dim();
    const auto cut = follow(d, shape, groups, dim);
    placements[static_cast<std::size_t>(axis)] = Shard{cut.to};
    if (cut.rows == 0) continue;
    const auto refuse = [&] {
      const auto parts = d.grid().extent(axis);
      fail(
          "a reshape of {} to {} would cut rows of dimension {}: along axis {}, blocks of dimension {} must be "
          "multiples of {}, as are .block_extents = {{{{{}, {{{}}}}}}}",
          d, shape, cut.to, axis, dim, cut.rows, axis,
          fmt::join(multiples(Decomposition::balanced(d.shape()[dim] / cut.rows, parts), cut.rows), ", "));
    };
    // Of the balanced blocks within blocks of several axes, only those that fall on the new ones can be kept.
    for (int position = 0; position < d.grid().size(); ++position) {
      const auto block = d.block(position)[dim];
      if (!block.empty() && (block.begin % cut.rows != 0 || block.end % cut.rows != 0)) refuse();
    }
    int axes = 0;
    for (const auto& other : d.placements()) axes += other.is_shard(dim) ? 1 : 0;
    if (axes > 1) continue;
    std::vector<Index> extents;
    for (int coordinate = 0; coordinate < d.grid().extent(axis); ++coordinate) {
      const auto block = d.block(d.grid().moved(0, axis, coordinate))[dim];
      extents.push_back(block.extent() / cut.rows * cut.new_rows);
    }
    if (!Decomposition::from_extents(extents).is_balanced()) options.block_extents[axis] = std::move(extents);
  }
  Distribution result(d.topology(), shape, std::move(placements), std::move(options));
  for (int position = 0; position < d.grid().size(); ++position) {
    require(d.block(position).elements() == result.block(position).elements(),
            "a reshape of {} to {} cannot keep the blocks of a dimension that several axes cut; redistribute it first",
            d, shape);
  }
  return result;
}

}  // namespace

template <class T>
Variable<T> reshape(const Variable<T>& x, const Shape& shape) {
  auto result = Variable<T>::result(x.value().viewed_as(reshaped(x.distribution(), shape)), records(x));
  if (result.requires_gradient()) {
    GradientTape::active()->record("a reshape", [x, result] {
      if (const auto g = result.take_contributions()) {
        x.contribute(g->viewed_as(rules::input_gradient(x.distribution(), x.distribution())));
      }
    });
  }
  return result;
}

#define INSTANTIATE(T) template Variable<T> reshape(const Variable<T>&, const Shape&);
TARTAN_FOR_EACH_FLOATING_TYPE(INSTANTIATE)
#undef INSTANTIATE

}  // namespace tartan
