#include <cstdlib>
#include <optional>
#include <vector>

#include "cuda_memory.hpp"
#include "kernels/bags.hpp"
#include "kernels/dots.hpp"
#include "kernels/row_copies.hpp"
#include "kernels/row_updates.hpp"
#include "kernels/rows.hpp"
#include "support/catch.hpp"

// Rows of a table whose elements are more than 32 bits count. Few of them are touched, so a simulated device needs the
// addresses, but little memory.
namespace tartan::kernels {
namespace {

using namespace testing;

constexpr Index columns = 64;
constexpr Index rows = (Index{1} << 31) / columns + 100;
constexpr Index touched = 41;  // the first row, and the last ones
constexpr Index count = 300;

Matrix<float> whole(Tensor<float>& x) { return {x.data(), rows, columns, columns}; }

/// The touched rows of a table, one after the other on the processor, and where they are on the device.
struct Far {
  std::vector<Index> names{0};
  Tensor<Index> there_names;
  Tensor<float> table{Shape{rows * columns}, gpu()};
  std::vector<float> near = std::vector<float>(touched * columns, 1.5F);

  Far() {
    for (Index i = 1; i < touched; ++i) names.push_back(rows - touched + i);
    there_names = there(names);
    put(table, near);
  }
  Matrix<float> here() { return {near.data(), touched, columns, columns}; }
  Matrix<const float> here() const { return {near.data(), touched, columns, columns}; }

  void put(Tensor<float>& x, const std::vector<float>& values) const {
    const auto width = std::ssize(values) / touched;
    const auto copy = there(values);
    on(gpu(), [&](auto where) {
      put_rows<float>(where, std::as_const(there_names).data(), touched, {copy.data(), touched, width, width},
                      {x.data(), rows, width, width});
    });
  }
  std::vector<float> taken() const {
    Tensor<float> out(Shape{touched * columns}, gpu());
    on(gpu(), [&](auto where) {
      gather_rows(where, Matrix<const float>{table.data(), rows, columns, columns}, 0, there_names.data(),
                  Matrix<float>{out.data(), touched, columns, columns});
    });
    return back(out);
  }
};

TEMPLATE_TEST_CASE("rows past 2^31 elements are read and updated like the first ones", "[kernels][cuda]", std::int32_t,
                   Index) {
  // A simulated device gets the addresses; real ones have what they have.
  static constexpr const char* variable = "TARTAN_SIMULATED_CUDA_MEMORY";
  const struct Memory {
    bool unset = std::getenv(variable) == nullptr;
    Memory() {
      if (unset) setenv(variable, "22000000000", 1);
    }
    ~Memory() {
      if (unset) unsetenv(variable);
    }
  } memory;
  std::optional<Far> made;
  Tensor<float> state, row_state;
  try {
    made.emplace();
    state = Tensor<float>(Shape{rows * columns}, gpu());
    row_state = Tensor<float>(Shape{rows}, gpu());
  } catch (const CudaError&) {
    WARN("a device with less than 18 GB: not tried");
    return;
  }
  Far& far = *made;
  std::vector<float> near_state(touched * columns, 0.25F);
  std::vector<float> near_row_state(touched, 0.5F);
  far.put(state, near_state);
  far.put(row_state, near_row_state);
  REQUIRE(same_bits(far.taken(), far.near));

  std::vector<TestType> ids;
  std::vector<Index> near_ids;
  for (Index i = 0; i < count; ++i) {
    near_ids.push_back(i % 5 == 0 ? 0 : touched - 1 - (i * i) % 40);
    ids.push_back(static_cast<TestType>(far.names[static_cast<std::size_t>(near_ids.back())]));
  }
  std::vector<float> terms;
  for (Index i = 0; i < count * columns; ++i) terms.push_back(static_cast<float>(i % 7) - 3);
  const auto there_ids = there(ids);
  const auto there_terms = there(terms);
  const Matrix<const float> hits{terms.data(), count, columns, columns};
  const Matrix<const float> there_hits{there_terms.data(), count, columns, columns};
  const auto near_plan = plan_rows(Cpu{}, near_ids.data(), count, 0, touched, -1);

  on(gpu(), [&](auto where) {
    if constexpr (std::is_same_v<decltype(where), Cuda>) {
      const auto plan = plan_rows(where, there_ids.data(), count, 0, rows, -1);
      accumulate_rows(where, plan, there_hits, whole(far.table));
      accumulate_rows(Cpu{}, near_plan, hits, far.here());
      CHECK(same_bits(far.taken(), far.near));
      sgd_rows<float>(where, plan, there_hits, 0.1F, whole(far.table));
      sgd_rows<float>(Cpu{}, near_plan, hits, 0.1F, far.here());
      CHECK(same_bits(far.taken(), far.near));
      adagrad_rows<float>(where, plan, there_hits, 0.1F, 1e-8F, whole(state), whole(far.table));
      adagrad_rows<float>(Cpu{}, near_plan, hits, 0.1F, 1e-8F,
                          Matrix<float>{near_state.data(), touched, columns, columns}, far.here());
      CHECK(same_bits(far.taken(), far.near));
      rowwise_adagrad_rows<float>(where, plan, there_hits, 0.1F, 1e-8F, row_state.data(), whole(far.table));
      rowwise_adagrad_rows<float>(Cpu{}, near_plan, hits, 0.1F, 1e-8F, near_row_state.data(), far.here());
      CHECK(same_bits(far.taken(), far.near));
    }
  });

  std::vector<Index> near_names;
  std::vector<double> factors;
  for (Index i = 0; i < touched; ++i) {
    near_names.push_back(i);
    factors.push_back(i % 2 == 0 ? 1 : 0.5);
  }
  const auto there_factors = there(factors);
  std::vector<double> near_sums(touched);
  Tensor<double> sums(Shape{touched}, gpu());
  const std::vector<Index> offsets{0, 10, 10, 200, count};
  const auto there_offsets = there(offsets);
  constexpr Index bags = 4;
  std::vector<float> near_bags(bags * columns), near_largest(bags * columns);
  std::vector<Index> near_winners(bags * columns);
  Tensor<float> in_bags(Shape{bags * columns}, gpu()), largest(Shape{bags * columns}, gpu());
  Tensor<Index> winners(Shape{bags * columns}, gpu());
  std::vector<float> near_dots(count);
  Tensor<float> dots(Shape{count}, gpu());
  const auto pooled = [](float* data) { return Matrix<float>{data, bags, columns, columns}; };
  const auto read = [&](auto where, Matrix<const float> table, const auto* which, const Index* names,
                        const Index* bounds, const double* by, Matrix<float> scaled, Matrix<const float> of_hits,
                        double* norms, float* sum, float* most, Index* winner, float* products) {
    scale_rows(where, names, touched, by, scaled);
    row_power_sums(where, table, names, touched, 2, norms);
    sum_bags(where, table, 0, which, bounds, nullptr, nullptr, -1, pooled(sum));
    max_bags(where, table, 0, which, bounds, -1, pooled(most), winner);
    hit_dots(where, table, 0, which, count, of_hits, nullptr, products);
  };
  on(gpu(), [&](auto where) {
    read(where, Matrix<const float>{std::as_const(far.table).data(), rows, columns, columns}, there_ids.data(),
         std::as_const(far.there_names).data(), there_offsets.data(), there_factors.data(), whole(far.table),
         there_hits, sums.data(), in_bags.data(), largest.data(), winners.data(), dots.data());
  });
  read(Cpu{}, std::as_const(far).here(), near_ids.data(), near_names.data(), offsets.data(), factors.data(), far.here(),
       hits, near_sums.data(), near_bags.data(), near_largest.data(), near_winners.data(), near_dots.data());
  CHECK(same_bits(far.taken(), far.near));
  CHECK(same_bits(back(sums), near_sums));
  CHECK(same_bits(back(in_bags), near_bags));
  CHECK(same_bits(back(largest), near_largest));
  CHECK(back(winners) == near_winners);
  CHECK(same_bits(back(dots), near_dots));
}

}  // namespace
}  // namespace tartan::kernels
