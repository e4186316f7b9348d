#include "kernels/matmul.hpp"

#include <algorithm>
#include <type_traits>
#include <vector>

#include "base/element_types.hpp"
#include "base/parallel.hpp"
#include "kernels/cpu/gemm.hpp"
#include "kernels/elementwise.hpp"
#include "kernels/sum_tree.hpp"

namespace tartan::kernels {
namespace {

/// Rows `begin` to `end` - 1 of a factor, as they are stored.
template <class T>
Matrix<const T> part_of(const Factor<T>& factor, Index begin, Index end) {
  const auto& m = factor.stored;
  if (factor.transposed) return {m.data + begin, m.rows, end - begin, m.stride};
  return m.part(begin, end);
}

/// A matrix of accumulators.
template <class T>
class Wide {
 public:
  using Number = Accumulator<T>;

  Wide(Index rows, Index columns)
      : elements_(static_cast<std::size_t>(rows * columns)), all_{elements_.data(), rows, columns, columns} {}
  /// The elements of `m`.
  explicit Wide(Matrix<const T> m) : Wide(m.rows, m.columns) {
    for (Index i = 0; i < m.rows; ++i) widen(Cpu{}, m.row(i), m.columns, all_.row(i));
  }

  Matrix<Number> all() const { return all_; }
  Factor<Number> factor(bool transposed) const {
    return {{all_.data, all_.rows, all_.columns, all_.stride}, transposed};
  }

 private:
  std::vector<Number> elements_;
  Matrix<Number> all_;
};

/// out = a·b. Where T is not its own accumulator, tile by tile of `out`: only what makes a tile is widened at a time.
template <class T>
void multiply(Factor<T> a, Factor<T> b, Matrix<T> out) {
  if constexpr (std::is_same_v<T, Accumulator<T>>) {
    gemm(a, b, out);
  } else {
    constexpr Index tile = 256;
    b.transposed = !b.transposed;  // a column of b is a row of what it is the transposed of
    for (Index i = 0; i < out.rows; i += tile) {
      const Index rows = std::min(tile, out.rows - i);
      const Wide<T> left(part_of(a, i, i + rows));
      for (Index c = 0; c < out.columns; c += tile) {
        const Index columns = std::min(tile, out.columns - c);
        const Wide<T> right(part_of(b, c, c + columns));
        const Wide<T> product(rows, columns);
        gemm(left.factor(a.transposed), right.factor(!b.transposed), product.all());
        for (Index r = 0; r < rows; ++r) round_to(Cpu{}, product.all().row(r), columns, out.row(i + r) + c);
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
  multiply<T>({a}, {b}, out);
}

template <class T>
void matmul_transposed_right(Cpu, Matrix<const T> a, Matrix<const T> b, Matrix<T> out) {
  multiply<T>({a}, {b, true}, out);
}

template <class T>
void matmul_transposed_left(Cpu, Matrix<const T> a, Matrix<const T> b, Matrix<T> out) {
  multiply<T>({a, true}, {b}, out);
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
