// Single rows on the move: every row unlike every other, uneven blocks, few or all or no rows named.

#include <tartan/distributed/row_exchange.hpp>

#include <set>

#include <tartan/comm/agreement.hpp>
#include <tartan/comm/recorder.hpp>

#include "distributed/logical.hpp"
#include "support/error_text.hpp"

namespace tartan {
namespace {

using namespace testing;

constexpr Index V = 11;
constexpr Index D = 5;

/// The largest MPI call, for the life of this object.
struct ChunkBytes {
  explicit ChunkBytes(Index bytes) { set_chunk_bytes(bytes); }
  ~ChunkBytes() { set_chunk_bytes(before); }
  Index before = chunk_bytes();
};

/// The rows that the ranks along `axis` own together, told by asking each of them.
std::vector<Index> owned_together(const Distribution& d, int axis) {
  std::set<Index> rows;
  for (int coordinate = 0; coordinate < d.grid().extent(axis); ++coordinate) {
    const int position = d.grid().moved(my_position(d), axis, coordinate);
    for (const Index flat : held_elements(d, position)) rows.insert(flat / D);
  }
  return {rows.begin(), rows.end()};
}

Interval my_columns(const Distribution& d) { return expected_block(d, my_position(d))[1]; }

/// Distributions of a table along two axes, `axis` placed as asked: the other as any, nested both ways, cut unevenly.
std::vector<Distribution> laid(const CartesianTopology& topology, int axis, Placement placement) {
  std::vector<Distribution> all;
  const int other = 1 - axis;
  for (const Placement& beside : {Placement{Replicate{}}, Placement{Shard{0}}, Placement{Shard{1}}}) {
    Placements placements(2, beside);
    placements[static_cast<std::size_t>(axis)] = placement;
    for (const auto& nesting : {std::vector<int>{0, 1}, std::vector<int>{1, 0}}) {
      all.emplace_back(topology, Shape{V, D}, placements, DistributionOptions{.nesting = nesting});
    }
    if (placement.is_shard() && !beside.is_shard(0)) {
      std::vector<Index> extents(static_cast<std::size_t>(topology.grid().extent(axis)), 0);
      extents.front() = 2;
      extents.back() += V - 2;
      if (extents.size() == 1) extents = {V};
      all.emplace_back(topology, Shape{V, D}, placements, DistributionOptions{.block_extents = {{axis, extents}}});
    }
    if (topology.grid().extent(other) == 1) break;
  }
  return all;
}

template <class Check>
void on_all_grids(const Check& check) {
  const Partition all(world());
  for (const Index bytes : {chunk_bytes(), Index{48}}) {
    const ChunkBytes chunks(bytes);
    for (const auto& grid : factorisations(world().size(), 2)) {
      for (const int axis : {0, 1}) check(all.cartesian(grid), axis);
    }
    if (world().size() > 1) check(all.first(world().size() - 1).cartesian({world().size() - 1, 1}), 0);
  }
}

TEST_CASE("pulled rows are the rows that were named") {
  on_all_grids([](const CartesianTopology& topology, int axis) {
    for (const Placement& placement : {Placement{Root{}}, Placement{Shard{0}}}) {
      for (const auto& d : laid(topology, axis, placement)) {
        INFO(d.to_string() << " along " << axis);
        const auto table = laid_out<double>(d);
        if (!topology.active()) {
          CHECK(pull_rows(table, axis, std::vector<Index>{}, V).elements() == 0);
          continue;
        }
        const auto columns = my_columns(d);
        const auto owned = owned_together(d, axis);
        const int mine = d.grid().coordinate(topology.rank(), axis);
        for (const int pattern : {0, 1, 2, 3}) {  // all of them nothing, everything, other rows on every rank, one rank
          std::vector<Index> wanted;
          for (const Index row : owned) {
            const bool named = pattern == 1 || (pattern == 2 && (row + mine) % 3 == 0) || (pattern == 3 && mine == 0);
            if (named) wanted.push_back(row);
          }
          const auto rows = pull_rows(table, axis, wanted, V);
          REQUIRE(rows.shape() == Shape{std::ssize(wanted), columns.extent()});
          std::vector<double> expected;
          for (const Index row : wanted) {
            for (Index c = columns.begin; c < columns.end; ++c) {
              expected.push_back(static_cast<double>(Numbers{}(row * D + c)));
            }
          }
          CHECK(std::ranges::equal(rows.span(), expected));
        }
      }
    }
  });
}

TEST_CASE("rows that nobody owns, and tables placed otherwise, are refused") {
  const std::vector<Index> first{0};
  for (const auto& grid : factorisations(world().size(), 2)) {
    const auto topology = Partition(world()).cartesian(grid);
    for (const auto& placement : all_placements(1, 2)) {
      for (const auto& nesting : {std::vector<int>{0, 1}, std::vector<int>{1, 0}}) {
        const Distribution d(topology, {V, D}, {placement[0], Shard{0}}, {.nesting = nesting});
        const auto table = laid_out<float>(d);
        const auto pull = [&](Index row) {
          return error_text([&] { pull_rows(table, 0, std::vector<Index>{row}, V); });
        };
        if (!placement[0].is_root() && !placement[0].is_shard(0)) {
          CHECK(contains(pull(0), "rows are pulled along axis 0 from a (V, D) table that is Root or Shard(0) there"));
          continue;
        }
        CHECK(pull(-1) == "rows were named that no rank along the axis owns");
        CHECK(pull(V) == "rows were named that no rank along the axis owns");
        const auto owned = owned_together(d, 0);
        Index other = 0;  // of another group, where there is one
        while (std::ranges::binary_search(owned, other)) ++other;
        CHECK(pull(other) == "rows were named that no rank along the axis owns");
      }
    }
    const auto line = DistributedTensor<float>::zeros({topology, {V}, {Shard{0}, Replicate{}}});
    CHECK(contains(error_text([&] { pull_rows(line, 0, first, V); }), "from a (V, D) table"));
  }
}

/// The rows that coordinate `p` along the summed axis names, and its term of an element.
bool names(int pattern, int p, Index row) {
  return pattern == 1 || (pattern == 2 && (row + p) % 3 == 0) || (pattern == 3 && p == 1) ||
         (pattern == 4 && row == V - 1);
}
double term(int p, Index flat) { return static_cast<double>((flat + 1) * (p + 2)); }

TEST_CASE("terms of named rows are summed where they are asked for") {
  on_all_grids([](const CartesianTopology& topology, int axis) {
    for (const Placement& target : {Placement{Root{}}, Placement{Replicate{}}, Placement{Shard{0}}}) {
      for (const auto& to : laid(topology, axis, target)) {
        // Rows that another axis cuts inside of this one are not owned by the group that sums them.
        const auto cuts = to.axes_of(0);
        if (target.is_shard() && !cuts.empty() && cuts.back() != axis) continue;
        const auto from = to.with(axis, Partial{});
        INFO(to.to_string() << " along " << axis);
        const int terms = to.grid().extent(axis);
        const int mine = topology.active() ? to.grid().coordinate(topology.rank(), axis) : 0;
        for (const int pattern : {0, 1, 2, 3, 4}) {
          RowSparse<double> x{.distribution = from, .rows = {}, .values = Tensor<double>(Shape{0, 0})};
          if (topology.active()) {
            const auto block = expected_block(from, my_position(from));
            std::vector<double> values;
            for (Index row = block[0].begin; row < block[0].end; ++row) {
              if (!names(pattern, mine, row)) continue;
              x.rows.push_back(row);
              for (Index c = block[1].begin; c < block[1].end; ++c) values.push_back(term(mine, row * D + c));
            }
            x.values = Tensor<double>::from(Shape{std::ssize(x.rows), block[1].extent()}, values);
          }
          const auto sum = sum_rows(x, axis, to, V);
          CHECK(sum.distribution == to);
          std::vector<Index> rows;
          std::vector<double> values;
          for (const Index flat : held_elements(to, my_position(to))) {
            double total = 0;
            bool named = false;
            for (int p = 0; p < terms; ++p) {
              if (!names(pattern, p, flat / D)) continue;
              named = true;
              total += term(p, flat);
            }
            if (!named) continue;
            values.push_back(total);
            if (rows.empty() || rows.back() != flat / D) rows.push_back(flat / D);
          }
          if (!topology.active() || my_columns(to).empty()) continue;
          CHECK(sum.rows == rows);
          CHECK(std::ranges::equal(sum.values.span(), values));
          CHECK(sum.values.shape() == Shape{std::ssize(rows), my_columns(to).extent()});
        }
      }
    }
  });
}

TEST_CASE("terms are folded in the order of ranks") {
  const int n = world().size();
  const auto topology = Partition(world()).cartesian({n});
  const double large = 0x1p60;
  const std::vector<double> parts{1, large, -large, 3, 0.25, -1, 2, 7};
  for (const Placement& target : {Placement{Root{}}, Placement{Replicate{}}, Placement{Shard{0}}}) {
    const Distribution to(topology, {V, 1}, {target});
    double expected = parts[0];
    for (int p = 1; p < n; ++p) expected += parts[static_cast<std::size_t>(p)];
    const RowSparse<double> x{.distribution = to.with(0, Partial{}),
                              .rows = {2, 9},
                              .values = Tensor<double>(Shape{2, 1}, parts[static_cast<std::size_t>(world().rank())])};
    const auto sum = sum_rows(x, 0, to, V);
    for (const double value : sum.values.span()) CHECK(value == expected);
    Index held = sum.values.elements();
    Index everywhere = 0;
    world().all_reduce(std::span<const Index>(&held, 1), std::span<Index>(&everywhere, 1));
    CHECK(everywhere == (target.is_replicate() ? 2 * n : 2));
  }
}

TEST_CASE("sums of rows into other placements are refused") {
  const auto topology = Partition(world()).cartesian({world().size(), 1});
  std::string texts;
  for (const auto& from : all_placements(2, 2)) {
    for (const auto& to : all_placements(2, 2)) {
      const Distribution x(topology, {V, D}, from);
      const Distribution target(topology, {V, D}, to);
      const bool fits =
          from[0].is_partial() && from[1] == to[1] && (to[0].is_root() || to[0].is_replicate() || to[0].is_shard(0));
      if (fits) continue;
      const auto text = error_text([&] {
        sum_rows(RowSparse<float>{.distribution = x, .rows = {}, .values = Tensor<float>(Shape{0, D})}, 0, target, V);
      });
      CHECK(contains(text, "rows are summed along axis 0 from Partial to Root, Replicate or Shard(0), not from " +
                               x.to_string() + " to " + target.to_string()));
      texts += text + '\n';
    }
  }
  CHECK_NOTHROW(same_on_all(world(), "texts of errors", texts));
}

TEST_CASE("pieces are gathered in the order of coordinates") {
  on_all_grids([](const CartesianTopology& topology, int axis) {
    const auto piece = [&](int coordinate, Index rows) {
      Tensor<float> tensor(Shape{rows, 3});
      for (Index i = 0; i < tensor.elements(); ++i) tensor[i] = static_cast<float>(100 * coordinate + i);
      return tensor;
    };
    for (const Index most : {0, 2, 5}) {
      std::vector<Index> counts;
      std::vector<float> expected;
      for (int p = 0; p < topology.grid().extent(axis); ++p) {
        counts.push_back(most == 0 ? 0 : (p * 2 + 1) % (most + 1));
        const auto one = piece(p, counts.back());
        expected.insert(expected.end(), one.span().begin(), one.span().end());
      }
      if (!topology.active()) {
        CHECK(gather_pieces(topology, axis, Tensor<float>(Shape{0, 0}), counts).elements() == 0);
        continue;
      }
      const int mine = topology.coordinates()[static_cast<std::size_t>(axis)];
      const auto all = gather_pieces(topology, axis, piece(mine, counts[static_cast<std::size_t>(mine)]), counts);
      CHECK(all.shape() == Shape{std::ssize(expected) / 3, 3});
      CHECK(std::ranges::equal(all.span(), expected));
    }
  });
}

TEST_CASE("bytes follow the rows that are named, not the table") {
  const int n = world().size();
  const auto topology = Partition(world()).cartesian({n});
  constexpr Index rows = 4000;
  const std::vector<Index> wanted{1, 1999, 3998};
  const auto total = [](const CommRecorder& recorder) {
    const Index mine = recorder.bytes();
    Index sum = 0;
    world().all_reduce(std::span<const Index>(&mine, 1), std::span<Index>(&sum, 1));
    return sum;
  };
  const Distribution root(topology, {rows, D}, {Root{}});
  const auto table = laid_out<float>(root);
  const CommRecorder pulling;
  const auto pulled = pull_rows(table, 0, wanted, std::ssize(wanted));
  CHECK(total(pulling) == (n - 1) * (n * 8 + 3 * 8 + 3 * D * 4));
  const RowSparse<float> x{.distribution = root.with(0, Partial{}), .rows = wanted, .values = pulled};
  const CommRecorder summing;
  sum_rows(x, 0, root, std::ssize(wanted));
  CHECK(total(summing) == (n - 1) * (n * 8 + 3 * 8 + 3 * D * 4));
}

}  // namespace
}  // namespace tartan
