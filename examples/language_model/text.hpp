#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include <tartan/distributed/distributed_tensor.hpp>

#include "byte_pairs.hpp"
#include "options.hpp"

namespace language_model {

/// A corpus as tokens, of which the last tenth is kept for validation. Every rank reads it.
struct Text {
  /// Throws tartan::Error where the file cannot be read or is too short for one sequence of each part.
  explicit Text(const Options& options);

  BytePairs vocabulary;
  std::vector<std::int32_t> tokens;
  Index trained;  ///< tokens before this one are for training

  std::span<const std::int32_t> training() const { return std::span(tokens).first(static_cast<std::size_t>(trained)); }
  std::span<const std::int32_t> validation() const {
    return std::span(tokens).subspan(static_cast<std::size_t>(trained));
  }

 private:
  Text(const std::string& bytes, const Options& options);
};

/// Sequences of tokens and those that follow them, (sequences, context), of which each rank makes its own.
struct Batch {
  tartan::DistributedTensor<std::int32_t> tokens;
  tartan::DistributedTensor<std::int32_t> next;

  /// Sequence i is part[starts[i]], ... `d` says how tokens are placed; a target of -100 stands for none, where `part`
  /// ends.
  Batch(const tartan::Distribution& d, std::span<const std::int32_t> part, const std::vector<Index>& starts);
};

}  // namespace language_model
