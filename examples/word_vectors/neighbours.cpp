#include "neighbours.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <iterator>

namespace word_vectors {

std::vector<Neighbour> nearest(const Vocabulary& vocabulary, const Vectors& vectors, Index id, Index count,
                               Index minimum_count) {
  std::vector<Neighbour> all;
  for (Index other = 0; other < vocabulary.frequent(minimum_count); ++other) {
    if (other != id) all.push_back({static_cast<std::int32_t>(other), cosine(vectors[id], vectors[other])});
  }
  const auto shown = all.begin() + std::min<std::ptrdiff_t>(count, std::ssize(all));
  std::partial_sort(all.begin(), shown, all.end(), [](const Neighbour& a, const Neighbour& b) {
    return a.similarity != b.similarity ? a.similarity > b.similarity : a.id < b.id;
  });
  all.erase(shown, all.end());
  return all;
}

std::vector<std::string> words_to_show(const Vocabulary& vocabulary, const std::vector<std::string>& asked) {
  std::vector<std::string> words;
  for (const char* word : {"king", "jerusalem", "wine", "moses"}) {
    if (vocabulary.find(word)) words.emplace_back(word);
  }
  for (const auto& word : asked) {
    if (std::find(words.begin(), words.end(), word) == words.end()) words.push_back(word);
  }
  return words;
}

std::string describe_neighbours(const Vocabulary& vocabulary, const Vectors& vectors, const std::string& word,
                                Index count) {
  const auto id = vocabulary.find(word);
  if (!id) return fmt::format("{}: not in the vocabulary (absent from the corpus, or too rare)", word);
  std::vector<std::string> parts;
  for (const auto& neighbour : nearest(vocabulary, vectors, *id, count)) {
    parts.push_back(fmt::format("{} {:.2f}", vocabulary.word(neighbour.id), neighbour.similarity));
  }
  if (parts.empty()) return fmt::format("{}: no other word occurs often enough to compare", word);
  return fmt::format("{}: {}", word, fmt::join(parts, ", "));
}

}  // namespace word_vectors
