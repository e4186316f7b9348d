#include "kernels/row_updates.hpp"

#include <algorithm>
#include <vector>

#include <tartan/base/threads.hpp>

#include "base/element_types.hpp"
#include "kernels/updates.hpp"

namespace tartan::kernels {
namespace {

/// The plan's rows `first` to `last` - 1 as a plan of their own.
RowPlan part(const RowPlan& plan, Index first, Index last) {
  const Index begin = plan.offsets[first], end = plan.offsets[last];
  RowPlan part{{plan.rows.begin() + first, plan.rows.begin() + last},
               {plan.offsets.begin() + first, plan.offsets.begin() + last + 1},
               {plan.positions.begin() + begin, plan.positions.begin() + end}};
  for (Index& offset : part.offsets) offset -= begin;
  return part;
}

/// Calls step(rows, sums) with the folds of some rows after another: as many as stay in the cache.
template <class T, class Step>
void for_folds(const RowPlan& plan, const Contributions<T>& contributions, Index columns, Step step) {
  if (columns == 0) return;
  const Index bytes = columns * static_cast<Index>(sizeof(T));
  const Index some = std::max((Index{1} << 20) * threads() / bytes, Index{1});
  std::vector<T> memory(static_cast<std::size_t>(std::min(some, plan.distinct()) * columns));
  for (Index first = 0; first < plan.distinct(); first += some) {
    const auto now = part(plan, first, std::min(first + some, plan.distinct()));
    const Matrix<T> sums{memory.data(), now.distinct(), columns, columns};
    fold_rows(Cpu{}, now, contributions, sums);
    step(now.rows.data(), Matrix<const T>{sums.data, sums.rows, columns, columns});
  }
}

}  // namespace

template <class T>
void sgd_rows(Cpu, const RowPlan& plan, std::type_identity_t<Contributions<T>> contributions, Accumulator<T> rate,
              Matrix<T> weight) {
  for_folds<T>(plan, contributions, weight.columns,
               [&](const Index* rows, Matrix<const T> sums) { sgd_update<T>(Cpu{}, rows, sums, rate, weight); });
}

template <class T>
void adagrad_rows(Cpu, const RowPlan& plan, std::type_identity_t<Contributions<T>> contributions, Accumulator<T> rate,
                  Accumulator<T> epsilon, Matrix<Accumulator<T>> sum, Matrix<T> weight) {
  for_folds<T>(plan, contributions, weight.columns, [&](const Index* rows, Matrix<const T> sums) {
    adagrad_update<T>(Cpu{}, rows, sums, rate, epsilon, sum, weight);
  });
}

template <class T>
void rowwise_adagrad_rows(Cpu, const RowPlan& plan, std::type_identity_t<Contributions<T>> contributions,
                          Accumulator<T> rate, Accumulator<T> epsilon, Accumulator<T>* sums, Matrix<T> weight) {
  std::vector<double> squares;
  std::vector<Accumulator<T>> rates;
  for_folds<T>(plan, contributions, weight.columns, [&](const Index* rows, Matrix<const T> gradient) {
    squares.resize(static_cast<std::size_t>(gradient.rows));
    rates.resize(squares.size());
    row_squares(Cpu{}, gradient, squares.data());
    const RowwiseRule<Accumulator<T>> rule{rate, epsilon, static_cast<double>(gradient.columns)};
    rowwise_rates(Cpu{}, rows, squares.data(), gradient.rows, rule, sums, rates.data());
    rowwise_update<T>(Cpu{}, rows, gradient, rates.data(), weight);
  });
}

#define TARTAN_INSTANTIATE(T)                                                                               \
  template void sgd_rows(Cpu, const RowPlan&, Contributions<T>, Accumulator<T>, Matrix<T>);                 \
  template void adagrad_rows(Cpu, const RowPlan&, Contributions<T>, Accumulator<T>, Accumulator<T>,         \
                             Matrix<Accumulator<T>>, Matrix<T>);                                            \
  template void rowwise_adagrad_rows(Cpu, const RowPlan&, Contributions<T>, Accumulator<T>, Accumulator<T>, \
                                     Accumulator<T>*, Matrix<T>);
TARTAN_FOR_EACH_FLOATING_TYPE(TARTAN_INSTANTIATE)
#undef TARTAN_INSTANTIATE

}  // namespace tartan::kernels
