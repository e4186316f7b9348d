// Slices, splits and concatenations in every placement that leaves their dimension whole.

#include <tartan/autograd/shapes.hpp>

#include "autograd/check_placements.hpp"

namespace tartan {
namespace {

using namespace testing;

/// The elements of a row-major (rows, extent, inner) whose middle index is in [begin, end).
Flat cut_out(const Flat& x, std::size_t extent, std::size_t inner, std::size_t begin, std::size_t end) {
  Flat out;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const std::size_t middle = i / inner % extent;
    if (begin <= middle && middle < end) out.push_back(x[i]);
  }
  return out;
}

std::vector<Placements> all_but(int dim, std::size_t operands) {
  std::vector<Placements> cells{Placements(operands, Replicate{}), Placements(operands, Root{}),
                                Placements(operands, Partial{})};
  for (int other = 0; other < 3; ++other) {
    if (other != dim) cells.push_back(Placements(operands, Shard{other}));
  }
  return cells;
}

TEST_CASE("a slice of a dimension that is whole") {
  for (const auto& partition : partitions()) {
    check_cells({"a slice of the last dimension",
                 {{3, 2, 5}},
                 [](const Inputs& x) { return slice(x[0], -1, 1, 4); },
                 [](const std::vector<Flat>& x) { return cut_out(x[0], 5, 1, 1, 4); }},
                partition, all_but(2, 1));
    check_cells({"a slice of the middle one",
                 {{3, 4, 2}},
                 [](const Inputs& x) { return slice(x[0], 1, 0, 3); },
                 [](const std::vector<Flat>& x) { return cut_out(x[0], 4, 2, 0, 3); }},
                partition, all_but(1, 1));
  }
}

TEST_CASE("a split, of which the parts are used in unlike ways, or not at all") {
  for (const auto& partition : partitions()) {
    check_cells({"a split",
                 {{3, 2, 7}},
                 [](const Inputs& x) {
                   const auto parts = split(x[0], {2, 3, 0, 2});
                   REQUIRE(parts.size() == 4);
                   return 2.0 * parts[0] - 3.0 * parts[3];
                 },
                 [](const std::vector<Flat>& x) {
                   auto out = cut_out(x[0], 7, 1, 0, 2);
                   const auto last = cut_out(x[0], 7, 1, 5, 7);
                   for (std::size_t i = 0; i < out.size(); ++i) out[i] = 2 * out[i] - 3 * last[i];
                   return out;
                 }},
                partition, all_but(2, 1));
  }
}

TEST_CASE("a concatenation along a dimension that is whole") {
  for (const auto& partition : partitions()) {
    check_cells({"a concatenation",
                 {{3, 2, 2}, {3, 3, 2}},
                 [](const Inputs& x) {
                   return concatenate<double>({x[0], x[1], x[0]}, 1);
                 },
                 [](const std::vector<Flat>& x) {
                   Flat out;
                   for (std::size_t row = 0; row < 3; ++row) {
                     for (const std::size_t i : {0, 1, 0}) {
                       const auto width = static_cast<std::ptrdiff_t>(x[i].size() / 3);
                       const auto begin = x[i].begin() + static_cast<std::ptrdiff_t>(row) * width;
                       out.insert(out.end(), begin, begin + width);
                     }
                   }
                   return out;
                 }},
                partition, all_but(1, 2));
  }
}

TEST_CASE("slices, splits and concatenations that cannot be are refused on every rank") {
  const auto topology = Partition(world()).cartesian({world().size()});
  const auto on = [&](Shape shape, Placement placement) {
    return Variable<double>(DistributedTensor<double>::zeros({topology, std::move(shape), {placement}}));
  };
  SameTexts texts;
  const auto refuses = [&](const std::string& part, const auto& call) {
    const auto text = texts.of(call);
    INFO(text);
    CHECK(contains(text, part));
  };
  const auto x = on({3, 5}, Shard{1});
  refuses("redistribute(x, [Replicate])", [&] { slice(x, 1, 0, 2); });
  refuses("whole on a rank", [&] { split(x, {2, 3}); });
  refuses("whole on a rank", [&] { concatenate<double>({x, x}); });
  refuses("from 0 to 3", [&] { slice(x, 0, 2, 4); });
  refuses("from 0 to 3", [&] { slice(x, 0, -1, 2); });
  refuses("from 0 to 3", [&] { slice(x, 0, 2, 1); });
  refuses("dimension", [&] { slice(x, 2, 0, 1); });
  refuses("add up", [&] { split(x, {1, 1}, 0); });
  refuses("at least 0", [&] { split(x, {4, -1}, 0); });
  refuses("placed alike", [&] { concatenate<double>({x, on({3, 5}, Replicate{})}, 0); });
  refuses("placed alike", [&] { concatenate<double>({x, on({3, 4}, Shard{1})}, 0); });
  refuses("placed alike", [&] { concatenate<double>({x, on({3}, Replicate{})}, 0); });
  refuses("at least one", [&] { concatenate<double>({}, 0); });
  texts.verify();
}

TEST_CASE("an empty slice") {
  const auto topology = Partition(world()).cartesian({world().size()});
  const auto x = Variable<double>::parameter("x", tensor({topology, {3, 5}, {Shard{0}}}, {}));
  Batch batch;
  GradientTape tape;
  const auto nothing = slice(x, 1, 2, 2);
  CHECK(nothing.shape() == Shape{3, 0});
  tape.backward(sum(nothing));
  check_logical(x.dense_gradient(), Flat(15), 0, "gradient", batch);
  batch.verify();
}

}  // namespace
}  // namespace tartan
