#include "vocabulary.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

namespace word_vectors {

Vocabulary::Vocabulary(const Corpus& corpus, Index minimum_count)
    : corpus_words_{static_cast<Index>(corpus.tokens.size())} {
  std::vector<Index> counts(corpus.words.size());
  for (const auto token : corpus.tokens) ++counts[static_cast<std::size_t>(token)];

  std::vector<std::size_t> order(counts.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::erase_if(order, [&](std::size_t i) { return counts[i] < minimum_count; });
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return counts[a] != counts[b] ? counts[a] > counts[b] : corpus.words[a] < corpus.words[b];
  });
  if (order.empty()) {
    throw tartan::Error(
        fmt::format("corpus {}: none of its {} distinct words occurs {} times or more (see --minimum-count)",
                    corpus.name, counts.size(), minimum_count));
  }
  for (const auto i : order) {
    ids_.emplace(corpus.words[i], static_cast<std::int32_t>(words_.size()));
    words_.push_back(corpus.words[i]);
    counts_.push_back(counts[i]);
    kept_words_ += counts[i];
  }
}

std::optional<std::int32_t> Vocabulary::find(std::string_view word) const {
  const auto found = ids_.find(word);
  return found == ids_.end() ? std::nullopt : std::optional(found->second);
}

Index Vocabulary::frequent(Index minimum) const {
  return std::partition_point(counts_.begin(), counts_.end(), [&](Index count) { return count >= minimum; }) -
         counts_.begin();
}

Sentences encode(const Corpus& corpus, const Vocabulary& vocabulary) {
  std::vector<std::int32_t> ids(corpus.words.size());
  std::transform(corpus.words.begin(), corpus.words.end(), ids.begin(),
                 [&](const std::string& word) { return vocabulary.find(word).value_or(-1); });

  Sentences sentences{.tokens = {}, .offsets = {0}};
  sentences.tokens.reserve(static_cast<std::size_t>(vocabulary.kept_words()));
  for (std::size_t s = 1; s < corpus.sentences.size(); ++s) {
    for (Index i = corpus.sentences[s - 1]; i < corpus.sentences[s]; ++i) {
      const auto id = ids[static_cast<std::size_t>(corpus.tokens[static_cast<std::size_t>(i)])];
      if (id >= 0) sentences.tokens.push_back(id);
    }
    const auto end = static_cast<Index>(sentences.tokens.size());
    if (end > sentences.offsets.back()) sentences.offsets.push_back(end);
  }
  return sentences;
}

}  // namespace word_vectors
