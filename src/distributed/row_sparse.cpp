#include <tartan/distributed/row_sparse.hpp>

#include <algorithm>
#include <iterator>

#include "base/element_types.hpp"
#include "base/fail.hpp"

namespace tartan {

template <class T>
DistributedTensor<T> RowSparse<T>::dense() const {
  auto result = DistributedTensor<T>::zeros(distribution);
  const Index first = result.box()[0].begin;
  const Index columns = result.local().elements() == 0 ? 0 : result.local().shape()[1];
  result.modify([&](Tensor<T>& out) {
    for (std::size_t u = 0; columns > 0 && u < rows.size(); ++u) {
      std::copy_n(values.data() + static_cast<Index>(u) * columns, columns, out.data() + (rows[u] - first) * columns);
    }
  });
  return result;
}

template <class T>
RowSparse<T> add(const RowSparse<T>& a, const RowSparse<T>& b) {
  require(a.distribution == b.distribution, "row-sparse tensors placed as {} and {} cannot be added", a.distribution,
          b.distribution);
  RowSparse<T> result{.distribution = a.distribution, .rows = {}, .values = {}};
  std::ranges::set_union(a.rows, b.rows, std::back_inserter(result.rows));
  const Index columns = a.values.shape().dimensions() == 2 ? a.values.shape()[1] : 0;
  result.values = Tensor<T>(Shape{static_cast<Index>(result.rows.size()), columns});
  Index i = 0;
  Index j = 0;
  for (Index u = 0; u < result.values.shape()[0]; ++u) {
    const Index row = result.rows[static_cast<std::size_t>(u)];
    const bool in_a = i < static_cast<Index>(a.rows.size()) && a.rows[static_cast<std::size_t>(i)] == row;
    const bool in_b = j < static_cast<Index>(b.rows.size()) && b.rows[static_cast<std::size_t>(j)] == row;
    T* out = result.values.data() + u * columns;
    const T* x = a.values.data() + i * columns;
    const T* y = b.values.data() + j * columns;
    for (Index c = 0; c < columns; ++c) out[c] = in_a && in_b ? x[c] + y[c] : in_a ? x[c] : y[c];
    i += in_a;
    j += in_b;
  }
  return result;
}

#define INSTANTIATE(T)          \
  template struct RowSparse<T>; \
  template RowSparse<T> add(const RowSparse<T>&, const RowSparse<T>&);
TARTAN_FOR_EACH_FLOATING_TYPE(INSTANTIATE)
#undef INSTANTIATE

}  // namespace tartan
