#include "kernels/matmul.hpp"

#include <Eigen/Core>
#include <algorithm>
#include <type_traits>
#include <vector>

#include "base/element_types.hpp"
#include "base/parallel.hpp"
#include "kernels/elementwise.hpp"
#include "kernels/sum_tree.hpp"

namespace tartan::kernels {
namespace {

template <class T>
using Dense = Eigen::Matrix<std::remove_const_t<T>, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
template <class T>
using View = Eigen::Map<std::conditional_t<std::is_const_v<T>, const Dense<T>, Dense<T>>, Eigen::Unaligned,
                        Eigen::OuterStride<>>;

template <class T>
View<T> view(Matrix<T> m) {
  return {m.data, m.rows, m.columns, Eigen::OuterStride<>(m.stride)};
}

/// A factor as it is or transposed.
template <bool transposed, class M>
decltype(auto) turned(const M& m) {
  if constexpr (transposed) {
    return m.transpose();
  } else {
    return (m);
  }
}

/// Rows `begin` to `end` - 1 of a factor that may be transposed, as they are stored.
template <bool transposed, class T>
Matrix<const T> part_of(Matrix<const T> m, Index begin, Index end) {
  if constexpr (transposed) return {m.data + begin, m.rows, end - begin, m.stride};
  return m.part(begin, end);
}

/// The elements of `m` in their accumulator.
template <class T>
Dense<Accumulator<T>> widened(Matrix<const T> m) {
  Dense<Accumulator<T>> result(m.rows, m.columns);
  for (Index i = 0; i < m.rows; ++i) widen(Cpu{}, m.row(i), m.columns, result.row(i).data());
  return result;
}

/// out = a·b, each transposed where said. Where T is not its own accumulator, tile by tile of `out`: only what makes a
/// tile is widened at a time.
template <bool turn_a, bool turn_b, class T>
void multiply(Matrix<const T> a, Matrix<const T> b, Matrix<T> out) {
  if constexpr (std::is_same_v<T, Accumulator<T>>) {
    view(out).noalias() = turned<turn_a>(view(a)) * turned<turn_b>(view(b));
  } else {
    constexpr Index tile = 256;
    for (Index i = 0; i < out.rows; i += tile) {
      const Index rows = std::min(tile, out.rows - i);
      const auto left = widened(part_of<turn_a>(a, i, i + rows));
      for (Index c = 0; c < out.columns; c += tile) {
        const Index columns = std::min(tile, out.columns - c);
        const auto right = widened(part_of<!turn_b>(b, c, c + columns));
        const Dense<Accumulator<T>> product = turned<turn_a>(left) * turned<turn_b>(right);
        for (Index r = 0; r < rows; ++r) round_to(Cpu{}, product.row(r).data(), columns, out.row(i + r) + c);
      }
    }
  }
}

/// The column sums of each group of 32 rows; one of zeros where there are no rows.
template <class T>
std::vector<double> group_sums(Matrix<const T> a) {
  std::vector<double> sums(static_cast<std::size_t>(groups_of(a.rows) * a.columns));
  parallel(groups_of(a.rows), summed_rows * a.columns * sizeof(T), [&](Index first, Index last) {
    for (Index i = first * summed_rows; i < std::min(last * summed_rows, a.rows); ++i) {
      double* group = sums.data() + i / summed_rows * a.columns;
      for (Index c = 0; c < a.columns; ++c) group[c] += static_cast<double>(a.row(i)[c]);
    }
  });
  return sums;
}

}  // namespace

template <class T>
void matmul(Cpu, Matrix<const T> a, Matrix<const T> b, Matrix<T> out) {
  multiply<false, false>(a, b, out);
}

template <class T>
void matmul_transposed_right(Cpu, Matrix<const T> a, Matrix<const T> b, Matrix<T> out) {
  multiply<false, true>(a, b, out);
}

template <class T>
void matmul_transposed_left(Cpu, Matrix<const T> a, Matrix<const T> b, Matrix<T> out) {
  multiply<true, false>(a, b, out);
}

template <class T>
void add_to_rows(Cpu, const T* row, Matrix<T> out) {
  for (Index i = 0; i < out.rows; ++i) {
    for (Index c = 0; c < out.columns; ++c) out.row(i)[c] += row[c];
  }
}

template <class T>
void column_sums(Cpu, Matrix<const T> a, T* out) {
  auto sums = group_sums(a);
  for (Index rows = groups_of(a.rows); rows > 1; rows = groups_of(rows)) {
    sums = group_sums(Matrix<const double>{sums.data(), rows, a.columns, a.columns});
  }
  for (Index c = 0; c < a.columns; ++c) out[c] = static_cast<T>(sums[static_cast<std::size_t>(c)]);
}

#define INSTANTIATE(T)                                                                     \
  template void matmul(Cpu, Matrix<const T>, Matrix<const T>, Matrix<T>);                  \
  template void matmul_transposed_right(Cpu, Matrix<const T>, Matrix<const T>, Matrix<T>); \
  template void matmul_transposed_left(Cpu, Matrix<const T>, Matrix<const T>, Matrix<T>);  \
  template void add_to_rows(Cpu, const T*, Matrix<T>);                                     \
  template void column_sums(Cpu, Matrix<const T>, T*);
TARTAN_FOR_EACH_FLOATING_TYPE(INSTANTIATE)
#undef INSTANTIATE

}  // namespace tartan::kernels
