#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "vectors.hpp"
#include "vocabulary.hpp"

namespace word_vectors {

struct Neighbour {
  std::int32_t id;
  double similarity;  ///< cosine
};

/// The at most `count` other words nearest to word `id`, nearest first (then by id), among the words that occur at
/// least `minimum_count` times.
std::vector<Neighbour> nearest(const Vocabulary& vocabulary, const Vectors& vectors, Index id, Index count,
                               Index minimum_count = 20);

/// A handful of words to look at, as far as the vocabulary holds them, then `asked`, each once.
std::vector<std::string> words_to_show(const Vocabulary& vocabulary, const std::vector<std::string>& asked);

/// "king: queen 0.81, prince 0.77, ...", or that the vocabulary does not hold the word.
std::string describe_neighbours(const Vocabulary& vocabulary, const Vectors& vectors, const std::string& word,
                                Index count = 8);

}  // namespace word_vectors
