#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include <tartan/base/random.hpp>

#include "alias_table.hpp"
#include "vocabulary.hpp"

namespace word_vectors {

struct SamplingOptions {
  Index batch = 4096;       ///< centre words of a step, over the whole grid
  Index window = 5;         ///< the furthest context word; each centre draws its own reach from 1, ..., window
  Index negatives = 5;      ///< per pair
  double subsample = 1e-3;  ///< word2vec's t; 0 keeps every word
};

/// A centre word and a word of its context.
struct Pair {
  std::int32_t centre;
  std::int32_t context;
  friend bool operator==(const Pair&, const Pair&) = default;
};

/// The pairs of one step in order; the first is pair number `first_pair` of the epoch.
struct Batch {
  Index first_pair = 0;
  std::vector<Pair> pairs;
};

/// One pass over the corpus by the skip-gram recipe with negative sampling (Mikolov et al. 2013). Everything is a
/// function of the seed, the epoch and a global position (of a token in the corpus, of a pair in the epoch), so every
/// rank may ask for any part and the grid changes nothing. No communication.
///
/// - Token p is kept with probability min(1, sqrt(t / f) + t / f), f being its word's share of the words with a vector.
/// - The kept tokens of a sentence close up; the window of token p reaches 1 + below(window) of them to either side and
///   does not leave the sentence. Kept tokens with no other in reach are no centres.
/// - The centres are shuffled, and `batch` of them make a step (the last step may have fewer).
/// - The negatives of a pair are drawn from unigram^0.75. One that equals the pair's context word is drawn again, up to
/// 64
///   times, after which the next id stands in, so that every pair has exactly `negatives`.
class Epoch {
 public:
  /// Throws tartan::Error where no pair comes about or where there are negatives to draw but only one word.
  Epoch(const Vocabulary& vocabulary, const Sentences& sentences, const SamplingOptions& options, std::uint64_t seed,
        Index epoch);

  Index steps() const noexcept { return static_cast<Index>(first_pairs_.size()) - 1; }
  Index centre_count() const noexcept { return static_cast<Index>(centres_.size()); }
  Index pair_count() const noexcept { return first_pairs_.back(); }
  /// The whole batch of step 0 <= `step` < steps(): at least one pair.
  Batch pairs(Index step) const;
  /// For the n consecutive pairs `pairs`, the first being number `first_pair` of the epoch: the (n, 1 + negatives) ids,
  /// row-major, whose column 0 is the context word and the others the negatives.
  std::vector<std::int32_t> targets(Index first_pair, std::span<const Pair> pairs) const;

 private:
  /// A kept token and the kept tokens [first, last) in its reach, itself among them.
  struct Centre {
    Index place;
    Index first;
    Index last;
  };

  std::int32_t negative(Index draw, std::int32_t positive) const;

  SamplingOptions options_;
  std::vector<std::int32_t> kept_;
  std::vector<Centre> centres_;
  std::vector<Index> first_pairs_;  ///< of each step, and the total
  AliasTable noise_;
  tartan::RandomStream noise_bits_;
};

}  // namespace word_vectors
