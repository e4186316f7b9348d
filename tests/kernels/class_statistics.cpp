// Statistics of rows of logits, their losses and gradients, and the greatest of a row, on the processor and on a CUDA
// device: against plain loops in double, in shards of every width, with logits of -inf and weights of 0.

#include "kernels/class_statistics.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

#include "kernels/top_k.hpp"
#include "on_devices.hpp"
#include "support/catch.hpp"

namespace tartan::kernels {
namespace {

using namespace testing;

template <class T>
constexpr double tolerance() {
  return std::is_same_v<T, double> ? 1e-13 : 2e-6;
}

/// The greatest rounding of a number of the order of 1 to T.
template <class T>
constexpr double rounding() {
  return is_half_type<T> ? 1.0 / 256 : tolerance<T>();
}

bool close(double a, double b, double bound) {
  if (std::isinf(b) || std::isnan(b)) return a == b || (std::isnan(a) && std::isnan(b));
  return std::abs(a - b) <= bound * std::max(1.0, std::abs(b));
}

/// Logits between -8 and 8, some -inf, in `rows` rows `stride` apart.
template <class T>
std::vector<T> some_logits(Index rows, Index stride) {
  std::mt19937_64 random{static_cast<std::uint64_t>(rows * 1000 + stride)};
  std::uniform_real_distribution<double> uniform{-8, 8};
  std::vector<T> values(static_cast<std::size_t>(rows * stride));
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] = i % 11 == 7 ? static_cast<T>(-std::numeric_limits<float>::infinity()) : static_cast<T>(uniform(random));
  }
  return values;
}

/// A batch of logits and all that is asked of it.
template <class T, class I>
struct Rows {
  Index rows, columns, stride;
  std::vector<T> logits = some_logits<T>(rows, stride);
  std::vector<T> weights{};
  std::vector<I> targets{};
  ClassLoss loss{-1, 0.25, columns};

  Rows(Index r, Index c) : rows{r}, columns{c}, stride{c + 2} {
    for (Index i = 0; i < columns; ++i) weights.push_back(static_cast<T>(static_cast<float>((i + 1) % 4) / 2));
    for (Index i = 0; i < rows; ++i) targets.push_back(i % 5 == 4 ? -1 : static_cast<I>(7 * i % std::max<Index>(c, 1)));
    for (Index i = 0; i < rows; ++i) {
      const auto target = static_cast<Index>(targets[static_cast<std::size_t>(i)]);
      if (target >= 0 && columns > 0) logits[static_cast<std::size_t>(i * stride + target)] = T(1.5F);
    }
  }

  double x(Index r, Index c) const { return static_cast<double>(logits[static_cast<std::size_t>(r * stride + c)]); }
  double w(Index c, bool weighted) const {
    return weighted ? static_cast<double>(weights[static_cast<std::size_t>(c)]) : 1;
  }

  /// m, s, t, w, u, W and, in the place of w, q for 4 fields, of columns begin to end - 1.
  std::vector<double> expected(Index r, Index begin, Index end, int fields, bool weighted) const {
    double m = no_logit, s = 0, q = 0, u = 0, all = 0;
    for (Index c = begin; c < end; ++c) m = std::max(m, x(r, c));
    for (Index c = begin; c < end; ++c) {
      if (x(r, c) > no_logit) s += std::exp(x(r, c) - m);
      if (x(r, c) > no_logit) q += std::exp(x(r, c) - m) * (x(r, c) - m);
      if (w(c, weighted) != 0) u += m == no_logit ? no_logit : w(c, weighted) * (x(r, c) - m);
      all += w(c, weighted);
    }
    const auto target = static_cast<Index>(targets[static_cast<std::size_t>(r)]);
    const bool owned = begin <= target && target < end;
    std::vector<double> result{m, s, owned ? x(r, target) : 0, owned ? w(target, weighted) : 0, u, all};
    if (fields == 4) result = {m, s, 0, q};
    result.resize(static_cast<std::size_t>(fields));
    return result;
  }
};

template <class T, class I>
void check_rows(Device device, Index rows, Index columns, int fields, bool weighted) {
  const Rows<T, I> batch(rows, columns);
  const auto logits = put_on(device, batch.logits);
  const auto weights = put_on(device, batch.weights);
  const auto targets = put_on(device, batch.targets);
  const T* const w = weighted ? weights.data() : nullptr;
  INFO(device.to_string() << ": " << rows << " x " << columns << ", " << fields << " fields, weights " << weighted);

  // Three shards of uneven widths, one of which may be empty, and what they make together.
  const std::vector<Index> cuts{0, columns / 5, columns / 5 + (columns > 9 ? 0 : columns / 3), columns};
  const Index parts = std::ssize(cuts) - 1;
  Tensor<double> shards(Shape{parts, rows, fields}, device), whole(Shape{rows, fields}, device);
  on(device, [&](auto where) {
    for (Index p = 0; p < parts; ++p) {
      const Index begin = cuts[static_cast<std::size_t>(p)], end = cuts[static_cast<std::size_t>(p + 1)];
      const Matrix<const T> shard{logits.data() + begin, rows, end - begin, batch.stride};
      double* const out = shards.data() + p * rows * fields;
      class_statistics(where, shard, weighted ? w + begin : nullptr, fields, out);
      if (fields == 3 || fields == 6) {
        pick_targets(where, shard, targets.data(), begin, Index{-1}, weighted ? w + begin : nullptr, fields, out);
      }
    }
    combine_shards(where, shards.data(), parts, rows, fields, whole.data());
  });
  const auto of_shards = brought_back(shards);
  const auto of_rows = brought_back(whole);
  const auto check = [&](const double* found, const std::vector<double>& expected) {
    for (int field = 0; field < fields; ++field) {
      INFO("field " << field << ": " << found[field] << " for " << expected[static_cast<std::size_t>(field)]);
      const double scale = static_cast<double>(std::max<Index>(columns, 1));
      REQUIRE(close(found[field], expected[static_cast<std::size_t>(field)], tolerance<T>() * std::sqrt(scale)));
    }
  };
  for (Index r = 0; r < rows; ++r) {
    for (Index p = 0; p < parts; ++p) {
      check(of_shards.data() + (p * rows + r) * fields,
            batch.expected(r, cuts[static_cast<std::size_t>(p)], cuts[static_cast<std::size_t>(p + 1)], fields,
                           weighted));
    }
    check(of_rows.data() + r * fields, batch.expected(r, 0, columns, fields, weighted));
  }
}

TEMPLATE_TEST_CASE("statistics of shards of rows, and of whole rows from those", "[kernels]", float, double, bfloat16,
                   half) {
  for (const auto device : devices()) {
    for (const Index columns : {0, 1, 5, 31, 33, 64, 100, 1500}) {
      for (const int fields : {2, 3, 4, 6}) {
        check_rows<TestType, std::int32_t>(device, 7, columns, fields, false);
        if (fields == 6) check_rows<TestType, std::int64_t>(device, 3, columns, fields, true);
      }
    }
    check_rows<TestType, std::int32_t>(device, 0, 5, 6, true);
    if (device.is_cpu()) check_rows<TestType, std::int32_t>(device, 2, 20'000, 6, true);
  }
}

TEMPLATE_TEST_CASE("a row with +infinity has that as its greatest, and no number as its sum", "[kernels]", float,
                   double, bfloat16, half) {
  using T = TestType;
  constexpr Index columns = 40;
  for (const auto device : devices()) {
    for (const std::size_t position : {0, 1, 39}) {
      std::vector<T> row(columns, T(2.0F));
      row[position] = static_cast<T>(std::numeric_limits<float>::infinity());
      const auto logits = put_on(device, row);
      Tensor<double> statistics(Shape{2}, device);
      on(device, [&](auto where) {
        const T* const no_weights = nullptr;
        class_statistics(where, Matrix<const T>{logits.data(), 1, columns, columns}, no_weights, 2, statistics.data());
      });
      const auto found = brought_back(statistics);
      CHECK(found[0] == std::numeric_limits<double>::infinity());
      CHECK(std::isnan(found[1]));
    }
  }
}

template <class T>
void check_gradients(Device device, Index rows, Index columns, bool weighted, double smoothing) {
  Rows<T, std::int64_t> batch(rows, columns);
  if (smoothing > 0) {
    // Smoothing looks at every class, and is infinite for one of -inf.
    for (T& x : batch.logits) x = static_cast<float>(x) < -100 ? T(-2) : x;
  }
  batch.loss.smoothing = smoothing;
  const auto logits = put_on(device, batch.logits);
  const auto weights = put_on(device, batch.weights);
  const auto targets = put_on(device, batch.targets);
  const T* const w = weighted ? weights.data() : nullptr;
  constexpr int fields = 6;
  const std::vector<T> upstreams(static_cast<std::size_t>(rows), T(0.75F));
  const auto upstream = put_on(device, upstreams);
  Tensor<double> statistics(Shape{rows, fields}, device), losses(Shape{rows}, device), counts(Shape{rows}, device);
  Tensor<T> gradient = put_on(device, batch.logits);
  const Matrix<const T> x{logits.data(), rows, columns, batch.stride};
  on(device, [&](auto where) {
    class_statistics(where, x, w, fields, statistics.data());
    pick_targets(where, x, targets.data(), 0, Index{-1}, w, fields, statistics.data());
    class_losses(where, statistics.data(), fields, targets.data(), rows, batch.loss, losses.data(), counts.data());
    class_losses_backward(where, x, targets.data(), 0, w, statistics.data(), fields, batch.loss,
                          Upstream<T>{upstream.data(), true, nullptr},
                          Matrix<T>{gradient.data(), rows, columns, batch.stride});
  });
  const auto loss = brought_back(losses);
  const auto count = brought_back(counts);
  const auto slopes = brought_back(gradient);
  INFO(device.to_string() << ": " << rows << " x " << columns << ", weights " << weighted << ", ε " << smoothing);
  for (Index r = 0; r < rows; ++r) {
    const auto y = batch.targets[static_cast<std::size_t>(r)];
    const auto all = batch.expected(r, 0, columns, fields, weighted);
    const double lse = all[0] + std::log(all[1]);
    double expected = 0;
    if (y >= 0) {
      expected = (1 - smoothing) * batch.w(y, weighted) * (lse - batch.x(r, y));
      for (Index c = 0; smoothing > 0 && c < columns; ++c) {
        expected += smoothing / static_cast<double>(columns) * batch.w(c, weighted) * (lse - batch.x(r, c));
      }
    }
    REQUIRE(close(loss[static_cast<std::size_t>(r)], expected, 10 * tolerance<T>()));
    REQUIRE(count[static_cast<std::size_t>(r)] == (y >= 0 ? batch.w(y, weighted) : 0));
    for (Index c = 0; c < columns; ++c) {
      const double p = std::exp(batch.x(r, c) - lse);
      double slope = 0;
      if (y >= 0) {
        const double share = smoothing / static_cast<double>(columns);
        slope = ((1 - smoothing) * batch.w(y, weighted) + share * all[5]) * p - share * batch.w(c, weighted) -
                (c == y ? (1 - smoothing) * batch.w(y, weighted) : 0);
      }
      INFO("row " << r << " column " << c);
      const auto found = static_cast<double>(slopes[static_cast<std::size_t>(r * batch.stride + c)]);
      REQUIRE(close(found, 0.75 * slope, rounding<T>()));
      if (y < 0) REQUIRE(found == 0);
    }
    for (Index c = columns; c < batch.stride; ++c) {
      const auto beside = static_cast<std::size_t>(r * batch.stride + c);
      REQUIRE(static_cast<double>(slopes[beside]) == static_cast<double>(batch.logits[beside]));
    }
  }
}

TEMPLATE_TEST_CASE("losses of rows and their gradients", "[kernels]", float, double, bfloat16, half) {
  for (const auto device : devices()) {
    for (const Index columns : {1, 5, 33, 100}) {
      for (const bool weighted : {false, true}) {
        for (const double smoothing : {0.0, 0.25, 1.0})
          check_gradients<TestType>(device, 6, columns, weighted, smoothing);
      }
    }
  }
}

template <class T>
void check_ranks(Device device, Index rows, Index columns, Index k, std::vector<T> values) {
  const auto x = put_on(device, values);
  const Index parts = 2, cut = columns / 3;
  Tensor<double> entries(Shape{parts, rows, k, 2}, device);
  Tensor<T> best(Shape{rows, k}, device);
  Tensor<Index> classes(Shape{rows, k}, device);
  on(device, [&](auto where) {
    auto* const ranked = reinterpret_cast<Ranked*>(entries.data());
    rank_classes(where, Matrix<const T>{x.data(), rows, cut, columns}, 0, k, ranked);
    rank_classes(where, Matrix<const T>{x.data() + cut, rows, columns - cut, columns}, cut, k, ranked + rows * k);
    merge_ranked(where, ranked, parts, rows, k, best.data(), classes.data());
  });
  const auto found = brought_back(best);
  const auto found_classes = brought_back(classes);
  INFO(device.to_string() << ": " << k << " of " << columns);
  for (Index r = 0; r < rows; ++r) {
    std::vector<Ranked> all;
    for (Index c = 0; c < columns; ++c) {
      all.push_back({static_cast<double>(values[static_cast<std::size_t>(r * columns + c)]), static_cast<double>(c)});
    }
    std::ranges::stable_sort(all, [](const Ranked& a, const Ranked& b) {
      if (std::isnan(a.value) || std::isnan(b.value)) return std::isnan(a.value) && !std::isnan(b.value);
      return a.value > b.value;
    });
    for (Index i = 0; i < k; ++i) {
      const auto& expected = all[static_cast<std::size_t>(i)];
      const auto at = static_cast<std::size_t>(r * k + i);
      REQUIRE(found_classes[at] == static_cast<Index>(expected.index));
      const auto value = static_cast<double>(found[at]);
      REQUIRE((value == expected.value || (std::isnan(value) && std::isnan(expected.value))));
    }
  }
}

TEMPLATE_TEST_CASE("the k greatest of a row: ties to the lowest class, NaN first", "[kernels]", float, double, bfloat16,
                   half) {
  using T = TestType;
  for (const auto device : devices()) {
    for (const Index columns : {1, 3, 40, 700}) {
      std::vector<T> values;
      for (Index i = 0; i < 4 * columns; ++i) values.push_back(static_cast<T>(static_cast<float>(i * 37 % 19 - 9)));
      if (columns > 3) values[5] = static_cast<T>(std::numeric_limits<float>::quiet_NaN());
      values[0] = static_cast<T>(-std::numeric_limits<float>::infinity());
      for (const Index k : {1, 2, 7}) {
        if (k <= columns) check_ranks<T>(device, 4, columns, k, values);
      }
      if (columns <= 40) check_ranks<T>(device, 4, columns, columns, values);
    }
  }
}

}  // namespace
}  // namespace tartan::kernels
