#pragma once

#include <tartan/distributed/row_sparse.hpp>

#include "kernels/rows.hpp"

namespace tartan {

/// The distinct rows that `plan` hits in this rank's block of a tensor placed as `to`, and for each the fold of what
/// its hits contribute, on `device`, which is that of `where`.
template <class T, class Where, class Plan>
RowSparse<T> folded(Where where, const Plan& plan, const kernels::Contributions<T>& hits, const Distribution& to,
                    Device device) {
  const Index columns = hits.rows.columns;
  RowSparse<T> result{
      .distribution = to, .rows = plan.rows_on_host(), .values = Tensor<T>(Shape{plan.distinct(), columns}, device)};
  const Index first = to.box(to.topology().rank())[0].begin;
  for (Index& row : result.rows) row += first;
  kernels::fold_rows(where, plan, hits,
                     kernels::Matrix<T>{result.values.data(), result.values.shape()[0], columns, columns});
  return result;
}

}  // namespace tartan
