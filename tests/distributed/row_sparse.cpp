// Row-sparse tensors from every placement to every other, and hits that are added in one order wherever they are.

#include <tartan/distributed/row_sparse.hpp>

#include <cstring>
#include <set>

#include <tartan/base/random.hpp>
#include <tartan/comm/agreement.hpp>
#include <tartan/comm/recorder.hpp>
#include <tartan/distributed/redistribution.hpp>
#include <tartan/distributed/row_hits.hpp>

#include "distributed/logical.hpp"
#include "kernels/cpu/reference.hpp"
#include "support/error_text.hpp"

namespace tartan {
namespace {

using namespace testing;

constexpr Index V = 11;
constexpr Index D = 5;

const std::set<Index>& named_rows() {
  static const std::set<Index> rows{0, 3, 4, 7, 10};
  return rows;
}

/// This rank's part of the tensor of Numbers with the named rows only.
RowSparse<double> sparse_part(const Distribution& d) {
  const auto whole = laid_out<double>(d);
  const auto part = whole.local_on_host();
  const Device device = d.topology().device();
  RowSparse<double> x{.distribution = d, .rows = {}, .values = Tensor<double>(Shape{0, 0}, device)};
  if (part.elements() == 0) return x;
  const auto box = whole.box();
  std::vector<double> values;
  for (const Index row : named_rows()) {
    if (!box[0].contains(row)) continue;
    x.rows.push_back(row);
    const double* first = part.span().data() + (row - box[0].begin) * box[1].extent();
    values.insert(values.end(), first, first + box[1].extent());
  }
  x.values = Tensor<double>::from(Shape{std::ssize(x.rows), box[1].extent()}, values).to(device);
  return x;
}

std::vector<Distribution> laid(const CartesianTopology& topology) {
  std::vector<Distribution> all;
  for (const auto& placements : all_placements(2, 2)) {
    for (const auto& nesting : {std::vector<int>{0, 1}, std::vector<int>{1, 0}}) {
      all.emplace_back(topology, Shape{V, D}, placements, DistributionOptions{.nesting = nesting});
    }
  }
  return all;
}

TEST_CASE("a row-sparse tensor moves by rows between all placements that split columns alike") {
  std::vector<double> expected;
  for (Index flat = 0; flat < V * D; ++flat) {
    expected.push_back(named_rows().contains(flat / D) ? static_cast<double>(Numbers{}(flat)) : 0.0);
  }
  for (const auto& grid : factorisations(world().size(), 2)) {
    const auto topology = Partition(world()).cartesian(grid);
    std::string texts;
    for (const auto& from : laid(topology)) {
      for (const auto& to : laid(topology)) {
        INFO(from.to_string() << " to " << to.to_string());
        if (!moves_by_rows(from, to)) {
          texts += error_text([&] { redistribute(sparse_part(from), to); });
          continue;
        }
        const auto moved = redistribute(sparse_part(from), to);
        REQUIRE(moved.distribution == to);
        const auto box = to.box(topology.rank());
        if (!to.any(Placement::Kind::partial) && !box[1].empty()) {
          std::vector<Index> mine;
          for (const Index row : named_rows()) {
            if (box[0].contains(row)) mine.push_back(row);
          }
          CHECK(moved.rows == mine);
        }
        const auto full = moved.dense().full_tensor();
        CHECK(std::ranges::equal(full.span(), expected));
      }
    }
    CHECK((texts.empty() || contains(texts, "does not move by rows")));
    CHECK_NOTHROW(same_on_all(world(), "texts of errors", texts));
  }
}

TEST_CASE("rows that another nesting, other columns or given blocks lay elsewhere do not move by rows") {
  const int n = world().size();
  const auto topology = Partition(world()).cartesian({n, 1});
  const Distribution rows(topology, {V, D}, {Shard{0}, Replicate{}});
  std::vector<Index> extents(static_cast<std::size_t>(n), 0);
  extents.back() = V;
  const Distribution given(topology, {V, D}, {Shard{0}, Replicate{}}, {.block_extents = {{0, extents}}});
  CHECK(moves_by_rows(rows, rows));
  CHECK(moves_by_rows(rows, rows.with(0, Partial{})));
  CHECK(moves_by_rows(rows.with(0, Partial{}), given));
  CHECK(moves_by_rows(rows, rows.with(0, Shard{1})) == (n == 1));
  CHECK(moves_by_rows(rows, given) == (n == 1));
}

/// Hits whose order of addition shows in the sum.
struct Hit {
  Index row;
  std::vector<double> values;
};

std::vector<Hit> some_hits(Index count) {
  const RandomStream stream(3, "hits");
  std::vector<Hit> hits;
  for (Index i = 0; i < count; ++i) {
    hits.push_back({.row = i % 3 == 0 ? 7 : stream.below(1000 + i, V), .values = {}});
    for (Index c = 0; c < D; ++c) hits.back().values.push_back(stream.normal(i * D + c) * (i % 7 == 0 ? 1e9 : 1));
  }
  return hits;
}

std::vector<double> folded(const std::vector<Hit>& hits) {
  std::vector<double> table(V * D);
  for (Index row = 0; row < V; ++row) {
    for (Index c = 0; c < D; ++c) {
      std::vector<double> terms;
      for (const auto& hit : hits) {
        if (hit.row == row) terms.push_back(hit.values[static_cast<std::size_t>(c)]);
      }
      if (!terms.empty()) table[static_cast<std::size_t>(row * D + c)] = kernels::reference::folded(std::move(terms));
    }
  }
  return table;
}

/// The hits of a rank: every n-th by the coordinates along the Partial axes, those of its rows, latest first.
RowHits<double> my_hits(const std::vector<Hit>& hits, const Distribution& d) {
  const Device device = d.topology().device();
  RowHits<double> mine{.distribution = d, .rows = {}, .positions = {}, .values = Tensor<double>(Shape{0, 0}, device)};
  const int position = d.topology().rank();
  if (position < 0) return mine;
  const auto terms = member(d, position, Placement::Kind::partial);
  const auto box = d.box(position);
  std::vector<double> values;
  for (Index i = std::ssize(hits) - 1; i >= 0; --i) {
    const auto& hit = hits[static_cast<std::size_t>(i)];
    if (i % terms.of != terms.number || !box[0].contains(hit.row)) continue;
    mine.rows.push_back(hit.row);
    mine.positions.push_back(1000 + i);
    values.insert(values.end(), hit.values.begin() + box[1].begin, hit.values.begin() + box[1].end);
  }
  const Index columns = box[1].empty() ? 0 : box[1].extent();
  mine.values = Tensor<double>::from(Shape{std::ssize(mine.rows), columns}, values).to(device);
  return mine;
}

TEST_CASE("hits are added in the order of their positions, wherever they are and go") {
  for (const Index count : {0, 1, 500}) {
    const auto hits = some_hits(count);
    const auto expected = folded(hits);
    for (const auto& grid : factorisations(world().size(), 3)) {
      const auto topology = Partition(world()).cartesian(grid);
      for (const Placement& data : {Placement{Root{}}, Placement{Replicate{}}, Placement{Shard{0}}}) {
        for (const Placement& second : {Placement{Shard{0}}, Placement{Replicate{}}}) {
          const Distribution to(topology, {V, D}, {data, second, Shard{1}}, {.nesting = {1, 0, 2}});
          for (const bool both : {false, true}) {  // the second axis has other hits as well
            if (both && second.is_shard()) continue;
            auto from = to.with(0, Partial{});
            if (both) from = from.with(1, Partial{});
            INFO(from.to_string() << " to " << to.to_string());
            const auto sum = fold_hits(my_hits(hits, from), to, count);
            CHECK(sum.distribution == to);
            std::vector<double> mine;
            for (const Index flat : held_elements(to, topology.rank()))
              mine.push_back(expected[static_cast<std::size_t>(flat)]);
            const auto dense = sum.dense().local_on_host();
            CHECK(std::ranges::equal(dense.span(), mine));
          }
        }
      }
    }
  }
}

TEST_CASE("hits that cannot be added up where they are asked for are refused") {
  const auto topology = Partition(world()).cartesian({world().size(), 1});
  const Distribution partial(topology, {V, D}, {Partial{}, Replicate{}});
  const auto refused = [&](const Distribution& from, const Distribution& to) {
    return error_text([&] { fold_hits(my_hits({}, from), to, 0); });
  };
  CHECK(contains(refused(partial, partial.with(0, Shard{1})), "do not add up"));
  CHECK(contains(refused(partial.with(0, Replicate{}), partial.with(0, Root{})), "do not add up"));
  const auto line = Partition(world()).cartesian({1, world().size()});
  const Distribution outside(line, {V, D}, {Shard{0}, Shard{0}}, {.nesting = {0, 1}});
  CHECK(refused(outside.with(0, Partial{}), outside) == "no error");
  const auto across = Partition(world()).cartesian({world().size(), 1});
  const Distribution inside(across, {V, D}, {Shard{0}, Shard{0}}, {.nesting = {0, 1}});
  CHECK(refused(inside.with(0, Partial{}), inside) == "no error");
  if (world().size() != 4) return;
  const Distribution cut(Partition(world()).cartesian({2, 2}), {V, D}, {Shard{0}, Shard{0}}, {.nesting = {0, 1}});
  CHECK(contains(refused(cut.with(0, Partial{}), cut), "nest inside all others"));
}

}  // namespace
}  // namespace tartan
