#pragma once

#include <algorithm>
#include <cmath>
#include <map>
#include <type_traits>
#include <utility>
#include <vector>

#include "kernels/rows.hpp"

/// The kernels' meaning as plain loops: the oracle of the tests.
namespace tartan::kernels::reference {

template <class T, class I>
void gather_rows(Matrix<const T> table, Index first_row, const I* ids, Matrix<T> out) {
  for (Index i = 0; i < out.rows; ++i) {
    const bool held = ids[i] >= first_row && ids[i] < first_row + table.rows;
    for (Index c = 0; c < out.columns; ++c) {
      out.row(i)[c] = held ? table.row(static_cast<Index>(ids[i]) - first_row)[c] : static_cast<T>(-0.0);
    }
  }
}

template <class I>
RowPlan plan_rows(const I* ids, Index count, Index first_row, Index rows, Index padding) {
  std::map<Index, std::vector<Index>> hits;
  for (Index i = 0; i < count; ++i) {
    const auto id = static_cast<Index>(ids[i]);
    if (id >= first_row && id - first_row < rows && id != padding) hits[id - first_row].push_back(i);
  }
  RowPlan plan{{}, {0}, {}};
  for (const auto& [row, positions] : hits) {
    plan.rows.push_back(row);
    plan.positions.insert(plan.positions.end(), positions.begin(), positions.end());
    plan.offsets.push_back(static_cast<Index>(plan.positions.size()));
  }
  return plan;
}

/// The left folds of consecutive groups of `size` terms.
template <class T>
std::vector<T> fold_groups(const std::vector<T>& terms, std::size_t size) {
  std::vector<T> sums;
  for (std::size_t begin = 0; begin < terms.size(); begin += size) {
    T sum = terms[begin];
    for (std::size_t i = begin + 1; i < std::min(begin + size, terms.size()); ++i) sum += terms[i];
    sums.push_back(sum);
  }
  return sums;
}

/// The sum of one row's hits, of which there is at least one.
template <class T>
T folded(std::vector<T> terms) {
  terms = fold_groups(terms, 64);
  while (terms.size() > 1) terms = fold_groups(terms, 32);
  return terms.front();
}

template <class T>
void fold_rows(const RowPlan& plan, std::type_identity_t<Contributions<T>> contributions, Matrix<T> out) {
  for (Index u = 0; u < out.rows; ++u) {
    for (Index c = 0; c < out.columns; ++c) {
      std::vector<T> terms;
      for (Index hit = plan.offsets[u]; hit < plan.offsets[u + 1]; ++hit) {
        const Index i = plan.positions[hit];
        const T value = contributions.rows.row(contributions.source != nullptr ? contributions.source[i] : i)[c];
        terms.push_back(contributions.factors != nullptr ? contributions.factors[i] * value : value);
      }
      out.row(u)[c] = folded(std::move(terms));
    }
  }
}

template <class T>
void add_rows(const Index* rows, Index count, Matrix<const T> values, Matrix<T> table) {
  for (Index u = 0; u < count; ++u) {
    for (Index c = 0; c < table.columns; ++c) table.row(rows[u])[c] += values.row(u)[c];
  }
}

/// The hits of bag b, as positions in `ids`.
template <class I>
std::vector<Index> hits_of_bag(Index first_row, Index rows, const I* ids, const Index* offsets, Index padding,
                               Index b) {
  std::vector<Index> hits;
  for (Index i = offsets[b]; i < offsets[b + 1]; ++i) {
    const auto id = static_cast<Index>(ids[i]);
    if (id >= first_row && id - first_row < rows && id != padding) hits.push_back(i);
  }
  return hits;
}

template <class T, class I>
void sum_bags(Matrix<const T> table, Index first_row, const I* ids, const Index* offsets,
              std::type_identity_t<const T*> factors, const Index* divisors, Index padding, Matrix<T> out) {
  using A = Accumulator<T>;
  for (Index b = 0; b < out.rows; ++b) {
    const auto hits = hits_of_bag(first_row, table.rows, ids, offsets, padding, b);
    for (Index c = 0; c < out.columns; ++c) {
      auto sum = static_cast<A>(-0.0);
      for (const Index i : hits) {
        const auto value = static_cast<A>(table.row(static_cast<Index>(ids[i]) - first_row)[c]);
        sum += factors != nullptr ? static_cast<A>(factors[i]) * value : value;
      }
      out.row(b)[c] = static_cast<T>(divisors != nullptr && !hits.empty() ? sum / static_cast<A>(divisors[b]) : sum);
    }
  }
}

template <class T, class I>
void max_bags(Matrix<const T> table, Index first_row, const I* ids, const Index* offsets, Index padding, Matrix<T> out,
              Index* winners) {
  for (Index b = 0; b < out.rows; ++b) {
    const auto hits = hits_of_bag(first_row, table.rows, ids, offsets, padding, b);
    for (Index c = 0; c < out.columns; ++c) {
      out.row(b)[c] = 0;
      winners[b * out.columns + c] = -1;
      for (const Index i : hits) {
        const T value = table.row(static_cast<Index>(ids[i]) - first_row)[c];
        if (winners[b * out.columns + c] >= 0 && !(value > out.row(b)[c])) continue;
        out.row(b)[c] = value;
        winners[b * out.columns + c] = i;
      }
    }
  }
}

template <class T>
void row_dots(Matrix<const T> a, Matrix<const T> b, T* out) {
  for (Index r = 0; r < b.rows; ++r) {
    const T* x = a.row(r / (b.rows / a.rows));
    T lanes[16] = {};
    for (Index c = 0; c < b.columns; ++c) lanes[c % 16] += x[c] * b.row(r)[c];
    for (int width = 8; width > 0; width /= 2) {
      for (int l = 0; l < width; ++l) lanes[l] += lanes[l + width];
    }
    out[r] = lanes[0];
  }
}

template <class T>
void row_dots_backward(Matrix<const T> a, Matrix<const T> b, const T* g, Matrix<T> grad_a, Matrix<T> grad_b) {
  for (Index i = 0; i < a.rows; ++i) {
    for (Index c = 0; c < a.columns; ++c) grad_a.row(i)[c] = static_cast<T>(-0.0);
  }
  for (Index r = 0; r < b.rows; ++r) {
    const Index i = r / (b.rows / a.rows);
    for (Index c = 0; c < a.columns; ++c) {
      grad_a.row(i)[c] += g[r] * b.row(r)[c];
      grad_b.row(r)[c] = g[r] * a.row(i)[c];
    }
  }
}

/// lanes 0 to 31 halved: combine(l, l + 16), then combine(l, l + 8), ...
template <class T, class Combine>
T halve(std::vector<T> lanes, Combine combine) {
  for (std::size_t half = 16; half > 0; half /= 2) {
    for (std::size_t l = 0; l < half; ++l) lanes[l] = combine(lanes[l], lanes[l + half]);
  }
  return lanes.front();
}

template <class T>
void leaf_dots(Matrix<const T> a, Matrix<const T> b, T* out) {
  for (Index r = 0; r < b.rows; ++r) {
    for (Index begin = 0; begin < a.columns; begin += 32) {
      std::vector<T> lanes(32, static_cast<T>(-0.0));
      for (Index c = begin; c < std::min(begin + 32, a.columns); ++c) {
        lanes[c - begin] = a.row(r / (b.rows / a.rows))[c] * b.row(r)[c];
      }
      *out++ = halve(lanes, [](T x, T y) { return x + y; });
    }
  }
}

template <class T>
void leaf_power_sums(Matrix<const T> table, const Index* rows, Index count, double power, double* out) {
  for (Index u = 0; u < count; ++u) {
    for (Index begin = 0; begin < table.columns; begin += 32) {
      std::vector<double> lanes(32, -0.0);
      for (Index c = begin; c < std::min(begin + 32, table.columns); ++c) {
        const double w = std::abs(static_cast<double>(table.row(rows[u])[c]));
        lanes[c - begin] = std::isinf(power) || power == 1 ? w : power == 2 ? w * w : std::pow(w, power);
      }
      *out++ = halve(lanes, [power](double x, double y) {
        return !std::isinf(power) ? x + y : std::isnan(y) || y > x ? y : x;
      });
    }
  }
}

template <class T>
void fold_leaves(const T* leaves, Index count, Index leaves_per_sum, T* out) {
  for (Index i = 0; i < count; ++i, leaves += leaves_per_sum) {
    std::vector<T> terms(leaves, leaves + leaves_per_sum);
    while (terms.size() > 1) terms = fold_groups(terms, 32);
    out[i] = terms.empty() ? static_cast<T>(-0.0) : terms.front();
  }
}

template <class T>
double binary_cross_entropy_sum(const T* x, const T* y, Index n) {
  double sum = 0;
  for (Index i = 0; i < n; ++i) {
    const auto logit = static_cast<double>(x[i]);
    sum += std::max(logit, 0.0) - logit * static_cast<double>(y[i]) + std::log1p(std::exp(-std::abs(logit)));
  }
  return sum;
}

template <class T>
void binary_cross_entropy_backward(const T* x, const T* y, double scale, Index n, T* out) {
  for (Index i = 0; i < n; ++i) {
    out[i] = static_cast<T>(scale * (1 / (1 + std::exp(-static_cast<double>(x[i]))) - static_cast<double>(y[i])));
  }
}

}  // namespace tartan::kernels::reference
