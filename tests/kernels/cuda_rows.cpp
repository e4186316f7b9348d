// Row plans and folds on a CUDA device against those of the CPU, bit for bit.

#include "kernels/rows.hpp"

#include <algorithm>
#include <limits>
#include <numeric>
#include <random>

#include "cuda_storage.hpp"
#include "kernels/row_updates.hpp"
#include "support/catch.hpp"

namespace tartan::kernels {
namespace {

using namespace testing;

struct Shard {
  Index first_row = 0;
  Index rows;
  Index padding = -1;
};

template <class Call>
void on_gpu(Call call) {
  on(gpu(), [&](auto where) {
    if constexpr (std::is_same_v<decltype(where), Cuda>) call(where);
  });
}

template <class I>
CudaRowPlan plan_there(Cuda where, const std::vector<I>& ids, const Shard& shard, bool aside = false) {
  const auto named = there(ids);  // gone when the plan may not be made yet
  const auto* data = std::as_const(named).data();
  return aside ? plan_rows_aside(where, data, std::ssize(ids), shard.first_row, shard.rows, shard.padding)
               : plan_rows(where, data, std::ssize(ids), shard.first_row, shard.rows, shard.padding);
}

template <class I>
RowPlan plan_here(const std::vector<I>& ids, const Shard& shard) {
  return plan_rows(Cpu{}, ids.data(), std::ssize(ids), shard.first_row, shard.rows, shard.padding);
}

/// Ids in which row r is hit hits[r] times, shuffled.
std::vector<Index> ids_with_hits(const std::vector<Index>& hits) {
  std::vector<Index> ids;
  for (Index row = 0; row < std::ssize(hits); ++row) ids.insert(ids.end(), hits[row], row);
  std::shuffle(ids.begin(), ids.end(), std::mt19937_64{3});
  return ids;
}

template <class I>
void check_plan(const std::vector<I>& ids, const Shard& shard) {
  const auto expected = plan_here(ids, shard);
  std::vector<Index> counts(ids.size());
  hit_counts(Cpu{}, expected, std::ssize(ids), counts.data());
  INFO("count " << ids.size() << " first row " << shard.first_row << " rows " << shard.rows << " padding "
                << shard.padding);
  for (const bool aside : {false, true}) {
    on_gpu([&](Cuda where) {
      const auto plan = plan_there(where, ids, shard, aside);
      Tensor<Index> counted(Shape{std::ssize(ids)}, gpu());
      hit_counts(where, plan, std::ssize(ids), counted.data());
      REQUIRE(plan.distinct() == expected.distinct());
      REQUIRE(plan.hits() == expected.hits());
      REQUIRE(plan.rows_on_host() == expected.rows);
      REQUIRE(back(counted) == counts);
    });
  }
}

template <class I>
void check_plans() {
  for (const Index rows : {0, 1, 2, 2048, 5'000'000}) {
    for (const Index count : {0, 1, 63, 1000, 4096, 4097, 9000}) {
      const Index first_row = 77;
      check_plan(skewed_ids<I>(count, first_row, first_row + rows), {.first_row = first_row, .rows = rows});
      check_plan(skewed_ids<I>(count, -5, first_row + 2 * rows + 5),
                 {.first_row = first_row, .rows = rows, .padding = first_row + rows / 2});
    }
  }
  constexpr I low = std::numeric_limits<I>::min(), high = std::numeric_limits<I>::max();
  check_plan<I>({low, -1, 4, high, 4}, {.first_row = 4, .rows = 1});
  check_plan<I>(std::vector<I>(100, I{3}), {.rows = 10, .padding = 3});
  check_plan<I>(std::vector<I>(5000, I{3}), {.rows = 10, .padding = 3});
  check_plan<I>(std::vector<I>(20'000, I{3}), {.rows = 10});
}

TEST_CASE("plans on a CUDA device are those of the CPU", "[kernels][cuda]") {
  check_plans<std::int32_t>();
  check_plans<std::int64_t>();
}

TEST_CASE("plans on a CUDA device hold for more rows than 32 bits count", "[kernels][cuda]") {
  constexpr Index first_row = Index{1} << 40, rows = Index{1} << 50;
  for (const Index count : {3000, 5000}) {
    check_plan(skewed_ids<Index>(count, first_row - 1000, first_row + rows + 1000),
               {.first_row = first_row, .rows = rows});
    check_plan(skewed_ids<Index>(count, 0, 50), {.rows = std::numeric_limits<Index>::max(), .padding = 20});
  }
}

/// All that is done with the folds of some hits: the same on both devices. `gap` and `offset` are the elements between
/// rows and before the first.
template <class T>
void check_fold(const std::vector<Index>& ids, const Shard& shard, Index columns, Index gap, Index offset,
                bool indirect = false) {
  const auto count = std::ssize(ids);
  const auto plan = plan_here(ids, shard);
  const Index given = indirect ? count / 3 + 1 : count;
  const Storage<T> terms{given, columns, gap, offset};
  const Storage<Accumulator<T>> factors{count, 1, 0, 0, 7};
  const auto sources = skewed_ids<Index>(count, 0, given, 8);
  const Contributions<T> here(terms.read(), indirect ? sources.data() : nullptr,
                              indirect ? factors.read().data : nullptr);
  using A = Accumulator<T>;
  INFO("columns " << columns << " gap " << gap << " offset " << offset << " ids " << count << " rows " << shard.rows
                  << (indirect ? ", with sources and factors" : ""));
  on_gpu([&](Cuda where) {
    const auto made = plan_there(where, ids, shard);
    const CudaStorage<T> terms_there(terms);
    const CudaStorage<A> factors_there(factors);
    const auto sources_there = there(sources);
    const Contributions<T> contributions(terms_there.read(), indirect ? std::as_const(sources_there).data() : nullptr,
                                         indirect ? factors_there.read().data : nullptr);

    Storage<T> sums{plan.distinct(), columns, gap, offset, 5};
    CudaStorage<T> sums_there(sums);
    fold_rows(Cpu{}, plan, here, sums.view());
    fold_rows(where, made, contributions, sums_there.view());
    REQUIRE(sums_there == sums);

    const Storage<T> first{shard.rows, columns, gap, offset, 6};
    auto table = first, added = first;
    CudaStorage<T> table_there(first), added_there(first);
    accumulate_rows(Cpu{}, plan, here, table.view());
    accumulate_rows(where, made, contributions, table_there.view());
    REQUIRE(table_there == table);
    add_rows(Cpu{}, plan.rows.data(), plan.distinct(), sums.read(), added.view());
    add_rows(where, made.rows(where), plan.distinct(), std::as_const(sums_there).read(), added_there.view());
    REQUIRE(added_there == added);
    if (std::is_same_v<T, A>) REQUIRE(added == table);

    sgd_rows(Cpu{}, plan, here, A(0.3), table.view());
    sgd_rows(where, made, contributions, A(0.3), table_there.view());
    REQUIRE(table_there == table);

    Storage<A> state{shard.rows, columns, 0, 0, 7};
    for (Index i = 0; i < shard.rows * columns; ++i) state.view().data[i] = std::abs(state.view().data[i]);
    CudaStorage<A> state_there(state);
    adagrad_rows(Cpu{}, plan, here, A(0.3), A(1e-8), state.view(), table.view());
    adagrad_rows(where, made, contributions, A(0.3), A(1e-8), state_there.view(), table_there.view());
    REQUIRE(state_there == state);
    REQUIRE(table_there == table);

    rowwise_adagrad_rows(Cpu{}, plan, here, A(0.3), A(1e-8), state.view().data, table.view());
    rowwise_adagrad_rows(where, made, contributions, A(0.3), A(1e-8), state_there.view().data, table_there.view());
    REQUIRE(state_there == state);
    REQUIRE(table_there == table);
  });
}

TEMPLATE_TEST_CASE("folds on a CUDA device have the CPU's bits, for every width and alignment", "[kernels][cuda]",
                   float, double, bfloat16, half) {
  const auto ids = ids_with_hits({1, 0, 2, 64, 3, 65, 1, 130, 5, 2, 1, 1});
  std::vector<Index> widths(70);
  std::iota(widths.begin(), widths.end(), Index{1});
  widths.insert(widths.end(), {128, 513});
  for (std::size_t i = 0; i < widths.size(); i += is_half_type<TestType> ? 5 : 1) {
    const Index columns = widths[i];
    check_fold<TestType>(ids, {.rows = 12}, columns, 0, 0);
    check_fold<TestType>(ids, {.first_row = 1, .rows = 9, .padding = 5}, columns, columns % 3, columns % 5,
                         columns % 2 == 0);
  }
  check_fold<TestType>(ids, {.rows = 12}, 8, 8, 4);
  check_fold<TestType>(ids, {.rows = 12}, 0, 0, 0);
  check_fold<TestType>({}, {.rows = 12}, 3, 0, 0);
  check_fold<TestType>({5, 5, 5}, {.rows = 12, .padding = 5}, 3, 0, 0);
}

TEMPLATE_TEST_CASE("rows that are hit often have the CPU's bits on a CUDA device", "[kernels][cuda]", float, double,
                   bfloat16, half) {
  const std::vector<Index> hits{70, 1, 64 * 32 + 1, 64 * 32, 1, 64 * 33, 65};
  for (const Index columns : {1, 3, 4, 20}) check_fold<TestType>(ids_with_hits(hits), {.rows = 7}, columns, 0, 0);
  for (const Index columns : {2, 140}) check_fold<TestType>(ids_with_hits(hits), {.rows = 7}, columns, 1, 1, true);
  check_fold<TestType>(std::vector<Index>(100'000, 3), {.rows = 5}, 4, 0, 0);
  check_fold<TestType>(std::vector<Index>(64 * 32 * 32 + 65, 3), {.rows = 5}, 3, 0, 0);
}

TEST_CASE("half of all ids on one row, out of order and many times over, gives the same bits", "[kernels][cuda]") {
  constexpr Index count = 20'000, rows = 3000, columns = 12;
  auto ids = skewed_ids<Index>(count, -100, rows + 100);
  for (std::size_t i = 0; i < ids.size(); i += 2) ids[i] = 1700;
  const Shard shard{.rows = rows};
  const Storage<float> terms{count, columns};
  const auto plan = plan_here(ids, shard);
  Storage<float> table{rows, columns}, first = table;
  accumulate_rows(Cpu{}, plan, terms.read(), table.view());
  on_gpu([&](Cuda where) {
    const CudaStorage<float> terms_there(terms);
    for (const bool aside : {true, false, true, false}) {
      CudaStorage<float> table_there(first);
      accumulate_rows(where, plan_there(where, ids, shard, aside), terms_there.read(), table_there.view());
      REQUIRE(table_there == table);
    }
  });
}

TEST_CASE("NaN and infinity stay in their row and column on a CUDA device", "[kernels][cuda]") {
  const auto ids = ids_with_hits({3, 1, 70, 2100});
  const auto plan = plan_here(ids, {.rows = 4});
  Storage<float> terms{std::ssize(ids), 16};
  terms.view().row(plan.positions[plan.offsets[0] + 1])[5] = std::numeric_limits<float>::infinity();
  terms.view().row(plan.positions[plan.offsets[3] + 99])[0] = -std::numeric_limits<float>::infinity();
  terms.view().row(plan.positions[plan.offsets[2]])[7] = -0.0f;
  Storage<float> out{4, 16};
  fold_rows(Cpu{}, plan, terms.read(), out.view());
  on_gpu([&](Cuda where) {
    CudaStorage<float> out_there{Storage<float>{4, 16}};
    fold_rows(where, plan_there(where, ids, {.rows = 4}), CudaStorage<float>(terms).read(), out_there.view());
    REQUIRE(out_there == out);
  });
}

TEST_CASE("a plan without hits, or none at all, changes nothing on a CUDA device", "[kernels][cuda]") {
  on_gpu([&](Cuda where) {
    const Storage<float> table{3, 4};
    CudaStorage<float> table_there(table);
    for (const auto& plan : {CudaRowPlan{}, plan_there<Index>(where, {7, 8}, {.rows = 3}),
                             plan_there<Index>(where, std::vector<Index>(5000, 7), {.rows = 3})}) {
      const CudaStorage<float> terms{Storage<float>{5000, 4}};
      accumulate_rows(where, plan, terms.read(), table_there.view());
      sgd_rows(where, plan, terms.read(), 0.5f, table_there.view());
      REQUIRE(plan.distinct() == 0);
      REQUIRE(plan.hits() == 0);
      REQUIRE(plan.rows_on_host().empty());
    }
    REQUIRE(table_there == table);
  });
}

template <class T, class I>
void check_atomic(Index columns, bool indirect) {
  constexpr Index count = 1500, rows = 40;
  const auto ids = skewed_ids<I>(count, -5, rows + 10);
  const Shard shard{.first_row = 2, .rows = rows, .padding = 9};
  // Sums of small integers are exact in any order.
  Storage<T> terms{count, columns}, factors{count, 1}, table{rows, columns};
  for (auto* storage : {&terms, &factors, &table}) {
    for (Index i = 0; i < storage->view().rows * storage->view().columns; ++i) {
      storage->view().data[i] = static_cast<T>(i % 17 - 6);
    }
  }
  const auto sources = skewed_ids<Index>(count, 0, count, 8);
  const auto* factor = indirect ? factors.read().data : nullptr;
  CudaStorage<T> table_there(table);
  accumulate_rows(Cpu{}, plan_here(ids, shard), {terms.read(), indirect ? sources.data() : nullptr, factor},
                  table.view());
  on_gpu([&](Cuda where) {
    const CudaStorage<T> terms_there(terms), factors_there(factors);
    const auto ids_there = there(ids);
    const auto sources_there = there(sources);
    accumulate_rows_atomic(where, std::as_const(ids_there).data(), count, shard.first_row, shard.padding,
                           {terms_there.read(), indirect ? std::as_const(sources_there).data() : nullptr,
                            indirect ? factors_there.read().data : nullptr},
                           table_there.view());
    INFO("columns " << columns);
    REQUIRE(table_there == table);
  });
}

TEST_CASE("atomic additions reach the same rows", "[kernels][cuda]") {
  for (const Index columns : {1, 2, 3, 4, 8, 33, 128, 140}) {
    check_atomic<float, std::int32_t>(columns, false);
    check_atomic<float, std::int64_t>(columns, true);
    check_atomic<double, std::int64_t>(columns, true);
  }
}

}  // namespace
}  // namespace tartan::kernels
