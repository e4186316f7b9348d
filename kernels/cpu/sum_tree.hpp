#pragma once

#include <algorithm>
#include <functional>
#include <vector>

#include "base/parallel.hpp"
#include "kernels/cpu/lanes.hpp"
#include "kernels/sum_tree.hpp"

namespace tartan::kernels {

/// The sum of term(0), ..., term(count - 1), which are one chunk at most.
template <class Term>
TARTAN_INLINE double sum_of_chunk(Index count, Term term) {
  double lanes[sum_lanes] = {};
  Index begin = 0;
  for (; begin + sum_lanes <= count; begin += sum_lanes) {
    for (Index l = 0; l < sum_lanes; ++l) lanes[l] += term(begin + l);
  }
  for (Index l = 0; begin + l < count; ++l) lanes[l] += term(begin + l);
  return halve<sum_lanes>(lanes, std::plus<double>{});
}

/// The sum of n terms, of which chunk(begin, count) adds those of one chunk; a term moves `bytes`.
template <class Chunk>
double sum_of_chunks(Index n, Index bytes, Chunk chunk) {
  const auto sums_of = [](Index terms, Index bytes_of_term, auto sum) {
    std::vector<double> sums(static_cast<std::size_t>(chunks_of(terms)));
    parallel(std::ssize(sums), bytes_of_term * sum_chunk, [&](Index first, Index last) {
      for (Index c = first; c < last; ++c) {
        const Index begin = c * sum_chunk;
        sums[static_cast<std::size_t>(c)] = sum(begin, std::min(sum_chunk, terms - begin));
      }
    });
    return sums;
  };
  auto sums = sums_of(n, bytes, chunk);
  while (sums.size() > 1) {
    sums = sums_of(std::ssize(sums), sizeof(double), [terms = sums.data()](Index begin, Index count) {
      return sum_of_chunk(
          count, [=](Index i) __attribute__((always_inline)) { return terms[begin + i]; });
    });
  }
  return sums[0];
}

}  // namespace tartan::kernels
