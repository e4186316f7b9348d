#pragma once

#include <set>

#include "nn/oracle.hpp"

/// What the options of an embedding do to it on one rank, as plain loops.
namespace tartan::testing {

/// Scales the rows of `table` that occur in `ids` down to a p-norm of `max_norm`, each once.
template <class T>
void renormalize(Table<T>& table, const std::vector<Index>& ids, double max_norm, double p) {
  for (const Index id : std::set(ids.begin(), ids.end())) {
    const std::span row(table.values.data() + id * table.columns, static_cast<std::size_t>(table.columns));
    const auto combine = [p](double a, double b) { return !std::isinf(p) ? a + b : std::isnan(b) || b > a ? b : a; };
    double n = 0;  // leaves of 32 columns, added by halving
    for (std::size_t begin = 0; begin < row.size(); begin += 32) {
      std::vector<double> lanes(32, -0.0);
      for (std::size_t c = begin; c < std::min(begin + 32, row.size()); ++c) {
        const double a = std::abs(static_cast<double>(row[c]));
        lanes[c - begin] = std::isinf(p) || p == 1 ? a : p == 2 ? a * a : std::pow(a, p);
      }
      for (std::size_t half = 16; half > 0; half /= 2) {
        for (std::size_t l = 0; l < half; ++l) lanes[l] = combine(lanes[l], lanes[l + half]);
      }
      n = begin == 0 ? lanes[0] : combine(n, lanes[0]);
    }
    if (!std::isinf(p)) n = std::pow(n, 1 / p);
    if (!(n > max_norm)) continue;
    for (T& w : row) w *= static_cast<T>(max_norm / (n + 1e-7));
  }
}

/// Each contribution divided by how often its id occurs.
template <class T>
std::vector<T> divided_by_counts(const std::vector<Index>& ids, std::vector<T> upstream, Index columns) {
  for (std::size_t i = 0; i < upstream.size(); ++i) {
    upstream[i] /= static_cast<T>(std::ranges::count(ids, ids[i / static_cast<std::size_t>(columns)]));
  }
  return upstream;
}

/// The sum of the gradients of two backward passes.
template <class T>
TableGradient<T> added(TableGradient<T> a, const TableGradient<T>& b) {
  for (std::size_t i = 0; i < a.values.size(); ++i) {
    a.values[i] += b.values[i];
    a.magnitudes[i] += b.magnitudes[i];
  }
  std::set<Index> rows(a.rows.begin(), a.rows.end());
  rows.insert(b.rows.begin(), b.rows.end());
  a.rows.assign(rows.begin(), rows.end());
  return a;
}

/// This rank's part of `tensor` is that part of `whole` to within 16 roundings of each element.
template <class T>
bool same_numbers(const DistributedTensor<T>& tensor, const std::vector<T>& whole) {
  const auto expected = held(tensor.distribution(), whole);
  const auto local = tensor.local().span();
  return std::ranges::equal(local, expected, [](T a, T b) {
    return a == b || (std::isnan(a) && std::isnan(b)) ||
           std::abs(a - b) <= 16 * std::numeric_limits<T>::epsilon() * std::abs(b);
  });
}

/// The result of a lookup, on every rank of the rows axis, which is axis 1.
template <class T>
DistributedTensor<T> whole_rows(const Variable<T>& y) {
  return redistribute(y.value(), y.distribution().with(1, Replicate{}));
}

inline const std::vector<Exchange>& exchanges() {
  static const std::vector<Exchange> all{Exchange::table, Exchange::rows, Exchange::automatic};
  return all;
}

}  // namespace tartan::testing
