#include "byte_pairs.hpp"

#include <algorithm>
#include <cctype>
#include <map>
#include <set>
#include <unordered_map>
#include <utility>

#include <tartan/base/error.hpp>

namespace language_model {
namespace {

using Pair = std::pair<std::int32_t, std::int32_t>;

/// Bytes above 127 are parts of letters, as far as UTF-8 is concerned.
int kind(char byte) {
  const auto value = static_cast<unsigned char>(byte);
  if (std::isalpha(value) != 0 || value > 127) return 0;
  if (std::isdigit(value) != 0) return 1;
  return std::isspace(value) != 0 ? 2 : 3;
}

/// Calls body(word) for the words that make up `text`.
template <class Body>
void for_each_word(std::string_view text, Body body) {
  std::size_t begin = 0;
  while (begin < text.size()) {
    std::size_t end = begin + 1;
    const bool spaced = text[begin] == ' ' && end < text.size() && kind(text[end]) == 0;
    const int of = kind(text[spaced ? end : begin]);
    while (end < text.size() && kind(text[end]) == of && (of == 0 || text[end] != ' ')) ++end;
    body(text.substr(begin, end - begin));
    begin = end;
  }
}

std::vector<std::int32_t> bytes_of(std::string_view word) {
  std::vector<std::int32_t> result;
  for (const char byte : word) result.push_back(static_cast<unsigned char>(byte));
  return result;
}

/// Every `left`, `right` that follow each other become `made`.
void merge(std::vector<std::int32_t>& tokens, std::int32_t left, std::int32_t right, std::int32_t made) {
  auto out = tokens.begin();
  for (auto next = tokens.begin(); next != tokens.end();) {
    const bool pair = *next == left && next + 1 != tokens.end() && next[1] == right;
    *out++ = pair ? made : *next;
    next += pair ? 2 : 1;
  }
  tokens.erase(out, tokens.end());
}

/// The words of a text, as tokens, and where each pair of tokens occurs in them.
class Words {
 public:
  explicit Words(std::string_view text) {
    std::map<std::string_view, Index> counts;
    for_each_word(text, [&](std::string_view word) { ++counts[word]; });
    for (const auto& [word, count] : counts) {
      words_.push_back({bytes_of(word), count});
      add(words_.size() - 1, 1);
    }
  }

  /// The most frequent pair, or (-1, -1) where none occurs twice.
  Pair best() const {
    if (ranking_.empty() || ranking_.begin()->first > -2) return {-1, -1};
    return ranking_.begin()->second;
  }

  void replace(Pair pair, std::int32_t made) {
    const auto places = std::move(pairs_[pair].words);
    for (const auto place : places) {
      add(place, -1);
      merge(words_[place].tokens, pair.first, pair.second, made);
      add(place, 1);
    }
  }

 private:
  struct Word {
    std::vector<std::int32_t> tokens;
    Index count;
  };
  struct Occurrences {
    Index count = 0;
    std::set<std::size_t> words = {};  ///< that have it, or had
  };

  /// Counts the pairs of a word, or takes them back.
  void add(std::size_t place, Index sign) {
    const auto& [tokens, count] = words_[place];
    for (std::size_t i = 1; i < tokens.size(); ++i) {
      const Pair pair{tokens[i - 1], tokens[i]};
      auto& occurrences = pairs_[pair];
      ranking_.erase({-occurrences.count, pair});
      occurrences.count += sign * count;
      if (occurrences.count > 0) ranking_.insert({-occurrences.count, pair});
      if (sign > 0) occurrences.words.insert(place);
    }
  }

  std::vector<Word> words_;
  std::map<Pair, Occurrences> pairs_;
  std::set<std::pair<Index, Pair>> ranking_;  ///< (-count, pair), the most frequent first
};

}  // namespace

BytePairs::BytePairs(std::string_view text, Index size) {
  if (size < 256)
    throw tartan::Error("a vocabulary of byte pairs has the 256 bytes at least, not " + std::to_string(size));
  for (int byte = 0; byte < 256; ++byte) bytes_.emplace_back(1, static_cast<char>(byte));
  Words words(text);
  while (static_cast<Index>(bytes_.size()) < size) {
    const auto [left, right] = words.best();
    if (left < 0) break;
    const auto made = static_cast<std::int32_t>(bytes_.size());
    words.replace({left, right}, made);
    merges_.push_back({left, right, made});
    bytes_.push_back(bytes_[static_cast<std::size_t>(left)] + bytes_[static_cast<std::size_t>(right)]);
  }
  std::ranges::sort(merges_, {}, [](const Merge& m) { return Pair{m.left, m.right}; });
}

std::vector<std::int32_t> BytePairs::encode(std::string_view text) const {
  std::unordered_map<std::string_view, std::vector<std::int32_t>> known;
  std::vector<std::int32_t> result;
  for_each_word(text, [&](std::string_view word) {
    auto [found, is_new] = known.try_emplace(word);
    if (is_new) found->second = encode_word(word);
    result.insert(result.end(), found->second.begin(), found->second.end());
  });
  return result;
}

std::vector<std::int32_t> BytePairs::encode_word(std::string_view word) const {
  auto tokens = bytes_of(word);
  while (true) {
    // The pair that was learnt first is merged first.
    const Merge* first = nullptr;
    for (std::size_t i = 1; i < tokens.size(); ++i) {
      const Pair pair{tokens[i - 1], tokens[i]};
      const auto found = std::ranges::lower_bound(merges_, pair, {}, [](const Merge& m) {
        return Pair{m.left, m.right};
      });
      const bool is_there = found != merges_.end() && Pair{found->left, found->right} == pair;
      if (is_there && (first == nullptr || found->made < first->made)) first = &*found;
    }
    if (first == nullptr) return tokens;
    merge(tokens, first->left, first->right, first->made);
  }
}

std::string BytePairs::decode(std::span<const std::int32_t> tokens) const {
  std::string text;
  for (const auto token : tokens) text += bytes_.at(static_cast<std::size_t>(token));
  return text;
}

}  // namespace language_model
