#include "kernels/rows.hpp"

#include <limits>
#include <tuple>

#include "kernels/cpu/reference.hpp"
#include "storage.hpp"
#include "support/catch.hpp"

namespace tartan::kernels {
namespace {

using namespace testing;

template <class T, class I>
void check_gather() {
  constexpr Index first_row = 90, rows = 23;
  auto ids = skewed_ids<I>(61, first_row - 8, first_row + rows + 8);
  ids.insert(ids.end(), {I{0}, I{-1}, std::numeric_limits<I>::min(), std::numeric_limits<I>::max(), I{first_row}});
  for (const Index columns : widths()) {
    const Storage<T> table{rows, columns, columns % 3, columns % 5};
    Storage<T> out{std::ssize(ids), columns, columns % 4, columns % 7}, expected = out;
    gather_rows(Cpu{}, table.read(), first_row, ids.data(), out.view());
    reference::gather_rows(table.read(), first_row, ids.data(), expected.view());
    INFO("columns " << columns);
    REQUIRE(out == expected);
  }
}

TEST_CASE("gather copies the shard's rows and gives rows of -0.0 for the others", "[kernels]") {
  check_gather<float, std::int32_t>();
  check_gather<float, std::int64_t>();
  check_gather<double, std::int32_t>();
  check_gather<double, std::int64_t>();
  check_gather<bfloat16, std::int32_t>();
  check_gather<half, std::int64_t>();
  check_gather<std::int32_t, std::int64_t>();
  check_gather<std::int64_t, std::int32_t>();
}

TEST_CASE("outputs too large for the caches have the same bits", "[kernels]") {
  constexpr Index first_row = 90, rows = 23, count = 40'000;
  const auto ids = skewed_ids<Index>(count, first_row - 8, first_row + rows + 8);
  for (const auto& [columns, gap, offset] :
       {std::tuple<Index, Index, Index>{64, 0, 0}, {60, 0, 0}, {61, 0, 0}, {64, 16, 0}, {64, 4, 0}, {64, 0, 1}}) {
    const Storage<float> table{rows, columns, columns % 3, 1};
    Storage<float> out{count, columns, gap, offset}, expected = out;
    gather_rows(Cpu{}, table.read(), first_row, ids.data(), out.view());
    reference::gather_rows(table.read(), first_row, ids.data(), expected.view());
    INFO("columns " << columns << " gap " << gap << " offset " << offset);
    REQUIRE(out == expected);
  }
}

TEST_CASE("a gather from an empty shard gives -0.0, and one without ids touches nothing", "[kernels]") {
  const std::vector<Index> ids{0, 5, -1, 4};
  Storage<float> out{4, 9}, untouched{4, 9};
  gather_rows(Cpu{}, Matrix<const float>{nullptr, 0, 9, 9}, 5, ids.data(), Matrix<float>{nullptr, 0, 9, 9});
  REQUIRE(out == untouched);
  gather_rows(Cpu{}, Matrix<const float>{nullptr, 0, 9, 9}, 5, ids.data(), out.view());
  for (Index i = 0; i < 36; ++i) REQUIRE(same_bits(out.view().data[i], -0.0f));
  gather_rows(Cpu{}, Matrix<const float>{nullptr, 8, 0, 0}, 0, ids.data(), Matrix<float>{nullptr, 4, 0, 0});
}

TEST_CASE("the terms of a table split by rows add up to the whole table's rows, bit by bit", "[kernels]") {
  Storage<float> table{20, 7};
  table.view().row(3)[2] = -0.0f;
  table.view().row(4)[1] = std::numeric_limits<float>::quiet_NaN();
  const auto ids = skewed_ids<Index>(50, 0, 20);
  Storage<float> whole{50, 7}, low{50, 7}, high{50, 7}, sum{50, 7};
  gather_rows(Cpu{}, table.read(), 0, ids.data(), whole.view());
  gather_rows(Cpu{}, Matrix<const float>{table.read().data, 11, 7, 7}, 0, ids.data(), low.view());
  gather_rows(Cpu{}, Matrix<const float>{table.read().row(11), 9, 7, 7}, 11, ids.data(), high.view());
  for (Index i = 0; i < 350; ++i) sum.view().data[i] = low.view().data[i] + high.view().data[i];
  REQUIRE(sum == whole);
}

template <class I>
void check_plan(const std::vector<I>& ids, Index first_row, Index rows, Index padding) {
  const auto plan = plan_rows(Cpu{}, ids.data(), std::ssize(ids), first_row, rows, padding);
  const auto expected = reference::plan_rows(ids.data(), std::ssize(ids), first_row, rows, padding);
  INFO("count " << ids.size() << " first row " << first_row << " rows " << rows << " padding " << padding);
  REQUIRE(plan.rows == expected.rows);
  REQUIRE(plan.offsets == expected.offsets);
  REQUIRE(plan.positions == expected.positions);
}

template <class I>
void check_plans() {
  for (const Index rows : {0, 1, 2, 3, 100, 2048, 2049, 5'000'000}) {
    for (const Index count : {0, 1, 2, 100, 5000}) {
      for (const Index first_row : {0, 77}) {
        const auto ids = skewed_ids<I>(count, first_row, first_row + rows);
        for (const Index padding : {Index{-1}, first_row, first_row + rows / 2, Index{7}}) {
          check_plan(ids, first_row, rows, padding);
          check_plan(skewed_ids<I>(count, -5, first_row + 2 * rows + 5), first_row, rows, padding);
        }
      }
    }
  }
  check_plan<I>({std::numeric_limits<I>::min(), -1, 4, std::numeric_limits<I>::max(), 4}, 4, 1, -1);
  check_plan<I>(std::vector<I>(100'000, I{3}), 0, 10, -1);
  check_plan<I>(std::vector<I>(100, I{3}), 0, 10, 3);
}

TEST_CASE("plans list the hits of every row in order", "[kernels]") {
  check_plans<std::int32_t>();
  check_plans<std::int64_t>();
}

TEST_CASE("plans hold for more rows than 32 bits count", "[kernels]") {
  constexpr Index first_row = Index{1} << 40, rows = Index{1} << 50;
  check_plan(skewed_ids<Index>(3000, first_row - 1000, first_row + rows + 1000), first_row, rows, -1);
  check_plan(skewed_ids<Index>(3000, 0, 50), 0, std::numeric_limits<Index>::max(), 20);
}

/// Ids in which row r is hit hits[r] times, shuffled.
std::vector<Index> ids_with_hits(const std::vector<Index>& hits) {
  std::vector<Index> ids;
  for (Index row = 0; row < std::ssize(hits); ++row) ids.insert(ids.end(), hits[row], row);
  std::shuffle(ids.begin(), ids.end(), std::mt19937_64{3});
  return ids;
}

template <class T>
void check_fold(const std::vector<Index>& hits, Index columns) {
  const auto ids = ids_with_hits(hits);
  const auto plan = plan_rows(Cpu{}, ids.data(), std::ssize(ids), 0, std::ssize(hits), -1);
  const Storage<T> terms{std::ssize(ids), columns, columns % 3, columns % 5};
  Storage<T> out{std::ssize(plan.rows), columns, columns % 4, columns % 7}, expected = out;
  fold_rows(Cpu{}, plan, terms.read(), out.view());
  reference::fold_rows(plan, terms.read(), expected.view());
  INFO("columns " << columns);
  REQUIRE(out == expected);
}

TEST_CASE("the fold is the reference's, bit by bit", "[kernels]") {
  for (const Index columns : widths()) {
    check_fold<float>({1, 0, 2, 64, 3, 65, 1, 130}, columns);
    check_fold<double>({1, 0, 2, 64, 3, 65, 1, 130}, columns);
  }
  const std::vector<Index> hits{63,   64,   65,   127,    128,    129,    2047,   2048,
                                2049, 4096, 4097, 65'535, 65'536, 65'537, 100'000};
  for (const Index columns : {1, 4, 5, 16}) {
    check_fold<float>(hits, columns);
    check_fold<double>(hits, columns);
  }
  check_fold<float>({}, 3);
}

TEST_CASE("a fold of many hits is no plain left fold", "[kernels]") {
  const std::vector<Index> ids(5000, 0);
  const auto plan = plan_rows(Cpu{}, ids.data(), 5000, 0, 1, -1);
  const Storage<float> terms{5000, 1};
  Storage<float> out{1, 1};
  fold_rows(Cpu{}, plan, terms.read(), out.view());
  float left = terms.read().data[0];
  for (Index i = 1; i < 5000; ++i) left += terms.read().data[i];
  REQUIRE(left != out.view().data[0]);
  REQUIRE(close(out.view().data[0], left, 1e-3));
}

template <class T>
void check_contributions(Index columns) {
  const std::vector<Index> hits{1, 0, 2, 64, 3, 65, 1, 130, 2300};
  const auto ids = ids_with_hits(hits);
  const auto count = std::ssize(ids);
  const auto plan = plan_rows(Cpu{}, ids.data(), count, 0, std::ssize(hits), -1);
  const Storage<T> terms{count / 3, columns, columns % 3, columns % 5}, factors{count, 1, 0, 0, 7};
  const auto source = skewed_ids<Index>(count, 0, count / 3, 8);
  for (const T* factor : {static_cast<const T*>(nullptr), factors.read().data}) {
    const Contributions<T> contributions{terms.read(), source.data(), factor};
    Storage<T> out{std::ssize(plan.rows), columns, columns % 4, columns % 7}, expected = out;
    fold_rows(Cpu{}, plan, contributions, out.view());
    reference::fold_rows(plan, contributions, expected.view());
    INFO("columns " << columns << " weighted " << (factor != nullptr));
    REQUIRE(out == expected);

    Storage<T> table{std::ssize(hits), columns, 1}, expected_table = table;
    accumulate_rows(Cpu{}, plan, contributions, table.view());
    reference::add_rows(plan.rows.data(), std::ssize(plan.rows), expected.read(), expected_table.view());
    REQUIRE(table == expected_table);
  }
}

TEST_CASE("hits that name their row and weigh it are folded like the others, bit by bit", "[kernels]") {
  for (const Index columns : {0, 1, 3, 4, 16, 37, 128}) {
    check_contributions<float>(columns);
    check_contributions<double>(columns);
  }
}

TEST_CASE("a split by columns or rows leaves the fold's bits", "[kernels]") {
  constexpr Index columns = 37, rows = 40;
  const auto ids = skewed_ids<std::int32_t>(9000, 0, rows);
  const Storage<float> terms{9000, columns};
  const auto plan = plan_rows(Cpu{}, ids.data(), 9000, 0, rows, -1);
  const auto distinct = std::ssize(plan.rows);
  Storage<float> whole{distinct, columns}, parts{distinct, columns, 0, 0, 9};
  fold_rows(Cpu{}, plan, terms.read(), whole.view());

  for (const auto& [begin, end] : {std::pair<Index, Index>{0, 1}, {1, 17}, {17, 33}, {33, 37}}) {
    fold_rows(Cpu{}, plan, Matrix<const float>{terms.read().data + begin, 9000, end - begin, columns},
              Matrix<float>{parts.view().data + begin, distinct, end - begin, columns});
  }
  REQUIRE(parts == whole);

  Storage<float> shards{distinct, columns, 0, 0, 9};
  Index done = 0;
  for (const auto& [begin, end] : {std::pair<Index, Index>{0, 1}, {1, 13}, {13, 13}, {13, rows}}) {
    const auto shard = plan_rows(Cpu{}, ids.data(), 9000, begin, end - begin, -1);
    fold_rows(Cpu{}, shard, terms.read(),
              Matrix<float>{shards.view().row(done), std::ssize(shard.rows), columns, columns});
    done += std::ssize(shard.rows);
  }
  REQUIRE(done == distinct);
  REQUIRE(shards == whole);
}

TEST_CASE("NaN and infinity stay in their row and column", "[kernels]") {
  const auto ids = ids_with_hits({3, 1, 70, 2100});
  const auto plan = plan_rows(Cpu{}, ids.data(), std::ssize(ids), 0, 4, -1);
  Storage<float> terms{std::ssize(ids), 16};
  Storage<float> clean{4, 16}, out{4, 16};
  fold_rows(Cpu{}, plan, terms.read(), clean.view());
  terms.view().row(plan.positions[plan.offsets[0] + 1])[5] = std::numeric_limits<float>::quiet_NaN();
  terms.view().row(plan.positions[plan.offsets[3] + 99])[0] = std::numeric_limits<float>::infinity();
  fold_rows(Cpu{}, plan, terms.read(), out.view());
  for (Index u = 0; u < 4; ++u) {
    for (Index c = 0; c < 16; ++c) {
      const float value = out.view().row(u)[c];
      if (u == 0 && c == 5) {
        CHECK(std::isnan(value));
      } else if (u == 3 && c == 0) {
        CHECK(value == std::numeric_limits<float>::infinity());
      } else {
        CHECK(same_bits(value, clean.view().row(u)[c]));
      }
    }
  }
}

TEST_CASE("a fold of -0.0 is -0.0", "[kernels]") {
  const std::vector<Index> ids(3000, 0);
  const auto plan = plan_rows(Cpu{}, ids.data(), 3000, 0, 1, -1);
  const std::vector<double> terms(3000 * 5, -0.0);
  Storage<double> out{1, 5};
  fold_rows(Cpu{}, plan, Matrix<const double>{terms.data(), 3000, 5, 5}, out.view());
  for (Index c = 0; c < 5; ++c) REQUIRE(same_bits(out.view().data[c], -0.0));
}

TEST_CASE("rows are added to the rows named, and to no others", "[kernels]") {
  const std::vector<Index> rows{0, 3, 4, 9};
  for (const Index columns : widths()) {
    const Storage<float> values{4, columns, columns % 2, 3};
    Storage<float> table{10, columns, columns % 5, 1}, expected = table;
    add_rows(Cpu{}, rows.data(), 4, values.read(), table.view());
    reference::add_rows(rows.data(), 4, values.read(), expected.view());
    INFO("columns " << columns);
    REQUIRE(table == expected);
    add_rows(Cpu{}, rows.data(), 0, values.read(), table.view());
    REQUIRE(table == expected);
  }
}

TEST_CASE("accumulated rows are folded and added, bit by bit", "[kernels]") {
  for (const Index columns : {0, 1, 5, 64, 1000}) {
    auto ids = skewed_ids<std::int32_t>(3000, 0, 700);
    ids.insert(ids.end(), 200, 699);
    const auto plan = plan_rows(Cpu{}, ids.data(), std::ssize(ids), 0, 700, 1);
    const auto distinct = std::ssize(plan.rows);
    const Storage<float> terms{std::ssize(ids), columns, 1};
    Storage<float> sums{distinct, columns}, table{700, columns, 2}, expected = table;
    fold_rows(Cpu{}, plan, terms.read(), sums.view());
    add_rows(Cpu{}, plan.rows.data(), distinct, sums.read(), expected.view());
    accumulate_rows(Cpu{}, plan, terms.read(), table.view());
    INFO("columns " << columns);
    REQUIRE(table == expected);
  }
  Storage<float> table{3, 4}, untouched{3, 4};
  accumulate_rows(Cpu{}, RowPlan{}, Matrix<const float>{nullptr, 0, 4, 4}, table.view());
  REQUIRE(table == untouched);
}

}  // namespace
}  // namespace tartan::kernels
