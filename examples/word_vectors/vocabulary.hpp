#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "corpus.hpp"
#include "word_index.hpp"

namespace word_vectors {

/// The words that get a vector: those that occur at least `minimum_count` times, by descending count, then by bytes.
/// A word's id is its place in that order.
class Vocabulary {
 public:
  /// Throws tartan::Error where no word is left.
  Vocabulary(const Corpus& corpus, Index minimum_count);

  Index size() const noexcept { return static_cast<Index>(words_.size()); }
  const std::string& word(Index id) const { return words_[static_cast<std::size_t>(id)]; }
  Index count(Index id) const { return counts_[static_cast<std::size_t>(id)]; }
  std::optional<std::int32_t> find(std::string_view word) const;

  /// The words that occur at least `minimum` times are the ids 0, ..., frequent(minimum) - 1.
  Index frequent(Index minimum) const;
  /// All words of the corpus, those without a vector too.
  Index corpus_words() const noexcept { return corpus_words_; }
  /// The words of the corpus that have a vector: the sum of the counts.
  Index kept_words() const noexcept { return kept_words_; }

 private:
  std::vector<std::string> words_;
  std::vector<Index> counts_;
  WordIndex ids_;
  Index corpus_words_ = 0;
  Index kept_words_ = 0;
};

/// The corpus in ids. Words without a vector are dropped from their sentences, which closes the gap, as word2vec does.
struct Sentences {
  std::vector<std::int32_t> tokens;
  std::vector<Index> offsets;  ///< sentence i is tokens [offsets[i], offsets[i + 1]); none is empty
};

Sentences encode(const Corpus& corpus, const Vocabulary& vocabulary);

}  // namespace word_vectors
