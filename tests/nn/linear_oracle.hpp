#pragma once

#include <cmath>
#include <string>

#include <tartan/comm/recorder.hpp>
#include <tartan/nn/linear.hpp>

#include "autograd/logical.hpp"

/// A linear layer on one rank, as plain loops over whole arrays, and what a layer sends.
namespace tartan::testing {

/// y = x·wᵀ + b and the gradients for an upstream g, all row-major.
struct Dense {
  Flat y, to_x, to_weight, to_bias;

  Dense(const Flat& x, const Flat& w, const Flat& b, const Flat& g, Index ins, Index outs) {
    const auto m = static_cast<std::size_t>(ins);
    const auto n = static_cast<std::size_t>(outs);
    const std::size_t rows = x.size() / m;
    y.resize(rows * n);
    to_x.resize(x.size());
    to_weight.resize(w.size());
    to_bias.resize(n);
    for (std::size_t r = 0; r < rows; ++r) {
      for (std::size_t o = 0; o < n; ++o) {
        y[r * n + o] = b.empty() ? 0 : b[o];
        to_bias[o] += g[r * n + o];
        for (std::size_t c = 0; c < m; ++c) {
          y[r * n + o] += x[r * m + c] * w[o * m + c];
          to_x[r * m + c] += g[r * n + o] * w[o * m + c];
          to_weight[o * m + c] += g[r * n + o] * x[r * m + c];
        }
      }
    }
  }
};

/// The initial values of a parameter, which are the same on every grid.
inline Flat initial(const std::string& name, std::uint64_t seed, Index count, Index features) {
  const RandomStream stream(seed, name);
  const double bound = 1 / std::sqrt(static_cast<double>(features));
  Flat values;
  for (Index i = 0; i < count; ++i) values.push_back(-bound + 2 * bound * stream.uniform(i));
  return values;
}

inline DistributedTensor<double> placed(const Distribution& d, const Flat& whole) {
  return DistributedTensor<double>::from_function(
      d, [&](std::span<const Index> i) { return whole[static_cast<std::size_t>(d.shape().flat(i))]; });
}

/// Calls of each kind that a phase made, agreements left out.
struct Calls {
  Index broadcast = 0, reduce = 0, all_reduce = 0, all_gather = 0, reduce_scatter = 0;
  friend bool operator==(const Calls&, const Calls&) = default;
};

template <class Call>
void check_calls(const std::string& label, const Calls& expected, Call call) {
  INFO(label);
  const CommRecorder recorder;
  call();
  const Calls found{recorder.count(Collective::broadcast), recorder.count(Collective::reduce),
                    recorder.count(Collective::all_reduce), recorder.count(Collective::all_gather),
                    recorder.count(Collective::reduce_scatter)};
  INFO("broadcast " << found.broadcast << ", reduce " << found.reduce << ", all-reduce " << found.all_reduce
                    << ", all-gather " << found.all_gather << ", reduce-scatter " << found.reduce_scatter);
  CHECK(found == expected);
  CHECK(recorder.count() ==
        found.broadcast + found.reduce + found.all_reduce + found.all_gather + found.reduce_scatter);
}

}  // namespace tartan::testing
