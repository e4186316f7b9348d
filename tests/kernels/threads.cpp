#include <tartan/base/threads.hpp>

#include <tartan/base/error.hpp>

#include "base/parallel.hpp"
#include "kernels/bags.hpp"
#include "kernels/dots.hpp"
#include "kernels/elementwise.hpp"
#include "kernels/losses.hpp"
#include "kernels/matmul.hpp"
#include "kernels/rows.hpp"
#include "kernels/tables.hpp"
#include "kernels/updates.hpp"
#include "storage.hpp"
#include "support/catch.hpp"

namespace tartan::kernels {
namespace {

using namespace testing;

/// A number of threads, for calls of any size, while it lives.
class Threads {
 public:
  explicit Threads(int count) : before_{threads()}, bytes_{parallel_bytes()} {
    set_threads(count);
    set_parallel_bytes(1);
  }
  ~Threads() {
    set_threads(before_);
    set_parallel_bytes(bytes_);
  }
  Threads(const Threads&) = delete;
  Threads& operator=(const Threads&) = delete;

 private:
  int before_;
  Index bytes_;
};

/// run(out) gives the same bits on 1, 2, 3 and 5 threads; `out` is the same before each.
template <class T, class Run>
void check(const char* kernel, const Storage<T>& out, Run run) {
  Storage<T> expected = out;
  {
    const Threads one{1};
    run(expected);
  }
  for (const int count : {2, 3, 5}) {
    const Threads several{count};
    Storage<T> result = out;
    run(result);
    INFO(kernel << " on " << count << " threads");
    REQUIRE(result == expected);
  }
}

template <class T>
void check_rows(Index columns) {
  constexpr Index count = 700, rows = 90;
  auto ids = skewed_ids<std::int32_t>(count, 0, rows + 3);
  std::fill_n(ids.begin() + 100, 300, 7);
  const Storage<T> table{rows, columns, 1}, terms{count, columns, 2, 1, 5}, factors{count, 1, 0, 0, 6};
  const auto plan = plan_rows(Cpu{}, ids.data(), count, 0, rows, 3);
  const auto distinct = std::ssize(plan.rows);
  const auto source = skewed_ids<Index>(count, 0, count, 8);
  const std::vector<Index> offsets{0, 0, 1, 50, 50, 51, 300, 301, 302, 420, 700, 700};
  const auto bags = std::ssize(offsets) - 1;
  INFO("columns " << columns);
  check("gather", Storage<T>{count, columns, 3},
        [&](Storage<T>& out) { gather_rows(Cpu{}, table.read(), 0, ids.data(), out.view()); });
  check("fold", Storage<T>{distinct, columns, 3},
        [&](Storage<T>& out) { fold_rows(Cpu{}, plan, terms.read(), out.view()); });
  check("weighted fold", Storage<T>{distinct, columns, 3}, [&](Storage<T>& out) {
    fold_rows(Cpu{}, plan, Contributions<T>{terms.read(), source.data(), factors.read().data}, out.view());
  });
  check("accumulate", table, [&](Storage<T>& out) { accumulate_rows(Cpu{}, plan, terms.read(), out.view()); });
  check("add rows", table,
        [&](Storage<T>& out) { add_rows(Cpu{}, plan.rows.data(), distinct, terms.read(), out.view()); });
  check("scale rows", table, [&](Storage<T>& out) {
    const Storage<double> scales{distinct, 1};
    scale_rows(Cpu{}, plan.rows.data(), distinct, scales.read().data, out.view());
  });
  check("powers", Storage<double>{distinct, 1}, [&](Storage<double>& out) {
    row_power_sums(Cpu{}, table.read(), plan.rows.data(), distinct, 1.5, out.view().data);
  });
  check("leaves of powers", Storage<double>{distinct, (columns + 31) / 32}, [&](Storage<double>& out) {
    leaf_power_sums(Cpu{}, table.read(), plan.rows.data(), distinct, 1.5, out.view().data);
  });
  const std::vector<Index> divisors(bags, 3);
  for (const T* factor : {static_cast<const T*>(nullptr), factors.read().data}) {
    check("sums of bags", Storage<T>{bags, columns, 1}, [&](Storage<T>& out) {
      sum_bags(Cpu{}, table.read(), 0, ids.data(), offsets.data(), factor, divisors.data(), 3, out.view());
    });
  }
  std::vector<Index> winners(bags * columns), expected;
  check("maxima of bags", Storage<T>{bags, columns, 1}, [&](Storage<T>& out) {
    max_bags(Cpu{}, table.read(), 0, ids.data(), offsets.data(), 3, out.view(), winners.data());
    if (expected.empty()) expected = winners;
    REQUIRE(winners == expected);
  });
  for (const Index* named : {static_cast<const Index*>(nullptr), source.data()}) {
    check("dots of hits", Storage<T>{count, 1}, [&](Storage<T>& out) {
      hit_dots(Cpu{}, table.read(), 0, ids.data(), count, terms.read(), named, out.view().data);
    });
  }
  const std::vector<TableColumns<T>> tables{{table.read(), 0, columns + 1}, {table.read(), 40, 0}};
  check("gather from tables", Storage<T>{count / 2, 2 * columns + 1},
        [&](Storage<T>& out) { gather_tables<T>(Cpu{}, tables, ids.data(), out.view()); });
}

template <class T>
void check_dots(Index columns) {
  const Storage<T> a{50, columns, 1}, b{150, columns, 2, 0, 5}, g{150, 1, 0, 0, 6};
  INFO("columns " << columns);
  check("dots", Storage<T>{150, 1}, [&](Storage<T>& out) { row_dots(Cpu{}, a.read(), b.read(), out.view().data); });
  check("leaves of dots", Storage<T>{150, (columns + 31) / 32},
        [&](Storage<T>& out) { leaf_dots(Cpu{}, a.read(), b.read(), out.view().data); });
  for (const bool left : {true, false}) {
    check("gradient of dots", Storage<T>{left ? 50 : 150, columns}, [&](Storage<T>& out) {
      Storage<T> other{left ? 150 : 50, columns};
      row_dots_backward(Cpu{}, a.read(), b.read(), g.read().data, (left ? out : other).view(),
                        (left ? other : out).view());
    });
  }
}

template <class T>
void check_updates(Index columns) {
  const std::vector<Index> rows{0, 3, 4, 9, 11, 12, 30, 31, 32};
  const auto count = std::ssize(rows);
  const Storage<T> gradient{count, columns, 1}, weight{40, columns, 0, 0, 4};
  Storage<T> state{40, columns, 0, 0, 5}, positive = state;
  for (Index i = 0; i < 40 * columns; ++i) positive.view().data[i] = std::abs(state.view().data[i]);
  INFO("columns " << columns);
  for (const Index* named : {static_cast<const Index*>(nullptr), rows.data()}) {
    check("Sgd", weight, [&](Storage<T>& w) { sgd_update(Cpu{}, named, gradient.read(), T(0.3), w.view()); });
    check("Adagrad", weight, [&](Storage<T>& w) {
      auto sum = positive;
      adagrad_update(Cpu{}, named, gradient.read(), T(0.3), T(1e-10), sum.view(), w.view());
    });
    check("Adam", weight, [&](Storage<T>& w) {
      auto first = state, second = positive;
      const AdamRule<T> rule{T(0.3), T(0.9), T(0.1), T(0.99), T(0.01), T(1.1), T(1e-8)};
      adam_update(Cpu{}, named, gradient.read(), rule, first.view(), second.view(), w.view());
    });
    check("row-wise", weight,
          [&](Storage<T>& w) { rowwise_update(Cpu{}, named, gradient.read(), state.read().data, w.view()); });
  }
  check("momentum", weight, [&](Storage<T>& w) {
    auto buffer = state;
    momentum_update(Cpu{}, positive.read().data, 40 * columns, MomentumRule<T>{T(0.3), T(0.9), T(0.8), T(0.1), true},
                    buffer.view().data, w.view().data);
  });
  check("squares", Storage<double>{count, 1},
        [&](Storage<double>& out) { row_squares(Cpu{}, gradient.read(), out.view().data); });
  check("leaves of squares", Storage<double>{count, (columns + 31) / 32},
        [&](Storage<double>& out) { leaf_squares(Cpu{}, gradient.read(), out.view().data); });
}

template <class T>
void check_elements(Index n) {
  const Storage<T> a{1, n}, b{1, n, 0, 0, 2};
  INFO("n " << n);
  check("add", Storage<T>{1, n},
        [&](Storage<T>& out) { add(Cpu{}, a.read().data, b.read().data, n, out.view().data); });
  check("multiply", Storage<T>{1, n},
        [&](Storage<T>& out) { multiply(Cpu{}, a.read().data, b.read().data, n, out.view().data); });
  check("scale", Storage<T>{1, n}, [&](Storage<T>& out) { scale(Cpu{}, a.read().data, T(0.3), n, out.view().data); });
  check("cross-entropy", Storage<T>{1, n}, [&](Storage<T>& out) {
    const T upstream = T(0.7);
    binary_cross_entropy_backward(Cpu{}, a.read().data, b.read().data, T(0.3), &upstream, n, out.view().data);
  });
  check("sum", Storage<T>{1, 1}, [&](Storage<T>& out) { sum(Cpu{}, a.read().data, n, out.view().data); });
  check("cross-entropy sum", Storage<T>{1, 1}, [&](Storage<T>& out) {
    binary_cross_entropy_sum(Cpu{}, a.read().data, b.read().data, n, 0.3, out.view().data);
  });
  check("column sums", Storage<T>{1, 3}, [&](Storage<T>& out) {
    column_sums(Cpu{}, Matrix<const T>{a.read().data, n / 3, 3, 3}, out.view().data);
  });
}

TEST_CASE("bits do not depend on the number of threads", "[kernels][threads]") {
  for (const Index columns : {0, 1, 3, 4, 16, 33, 64, 100, 128}) {
    check_rows<float>(columns);
    check_rows<double>(columns);
    check_dots<float>(columns);
    check_dots<double>(columns);
    check_updates<float>(columns);
    check_updates<double>(columns);
  }
  for (const Index n : {0, 1, 17, 1000}) {
    check_elements<float>(n);
    check_elements<double>(n);
  }
}

}  // namespace
}  // namespace tartan::kernels
