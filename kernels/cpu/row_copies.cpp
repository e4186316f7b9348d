#include "kernels/row_copies.hpp"

#include <algorithm>

#include "base/element_types.hpp"
#include "base/parallel.hpp"

namespace tartan::kernels {
namespace {

template <class T>
Index bytes_of_row(const Matrix<T>& out) {
  return out.columns * static_cast<Index>(sizeof(T));
}

}  // namespace

template <class T>
void put_rows(Cpu, const Index* rows, Index count, Matrix<const T> values, Matrix<T> table) {
  parallel(count, 2 * bytes_of_row(table), [=](Index begin, Index end) {
    for (Index u = begin; u < end; ++u) std::copy_n(values.row(u), table.columns, table.row(rows[u]));
  });
}

template <class T>
void merge_rows(Cpu, const Index* in_a, const Index* in_b, Matrix<const T> a, Matrix<const T> b, Matrix<T> out) {
  using A = Accumulator<T>;
  parallel(out.rows, 3 * bytes_of_row(out), [=](Index begin, Index end) {
    for (Index u = begin; u < end; ++u) {
      if (in_a[u] < 0 || in_b[u] < 0) {
        std::copy_n(in_a[u] < 0 ? b.row(in_b[u]) : a.row(in_a[u]), out.columns, out.row(u));
        continue;
      }
      const T* x = a.row(in_a[u]);
      const T* y = b.row(in_b[u]);
      std::transform(x, x + out.columns, y, out.row(u),
                     [](T p, T q) { return static_cast<T>(static_cast<A>(p) + static_cast<A>(q)); });
    }
  });
}

template <class T>
void contributed_rows(Cpu, std::type_identity_t<Contributions<T>> contributions, const Index* which,
                      const Index* divisors, Matrix<Accumulator<T>> out) {
  using A = Accumulator<T>;
  const auto rows = contributions.rows;
  const auto* const source = contributions.source;
  const auto* const factors = contributions.factors;
  parallel(out.rows, 2 * bytes_of_row(out), [=](Index begin, Index end) {
    for (Index i = begin; i < end; ++i) {
      const Index hit = which != nullptr ? which[i] : i;
      const T* const from = rows.row(source != nullptr ? source[hit] : hit);
      A* const to = out.row(i);
      std::transform(from, from + out.columns, to, [](T x) { return static_cast<A>(x); });
      if (factors != nullptr) std::for_each_n(to, out.columns, [factor = factors[hit]](A& x) { x *= factor; });
      if (divisors == nullptr) continue;
      std::for_each_n(to, out.columns, [divisor = static_cast<A>(divisors[i])](A& x) { x /= divisor; });
    }
  });
}

#define INSTANTIATE(T)                                                                                    \
  template void put_rows(Cpu, const Index*, Index, Matrix<const T>, Matrix<T>);                           \
  template void merge_rows(Cpu, const Index*, const Index*, Matrix<const T>, Matrix<const T>, Matrix<T>); \
  template void contributed_rows<T>(Cpu, Contributions<T>, const Index*, const Index*, Matrix<Accumulator<T>>);
TARTAN_FOR_EACH_FLOATING_TYPE(INSTANTIATE)
#undef INSTANTIATE

}  // namespace tartan::kernels
