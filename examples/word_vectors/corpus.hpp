#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <tartan/base/index.hpp>

namespace word_vectors {

using tartan::Index;

/// A text as numbers. A line is a sentence; a word is a run of Unicode letters and their combining marks with inner
/// apostrophes (' and U+2019, kept as '), case-folded. Everything else separates words.
struct Corpus {
  std::string name;                                      ///< the path, for messages
  std::vector<std::string> words = {};                   ///< the distinct words, in order of first appearance
  std::vector<std::int32_t> tokens = {};                 ///< the whole text: places in `words`
  std::vector<Index> sentences = std::vector<Index>{0};  ///< sentence i is tokens [sentences[i], sentences[i + 1])
};

/// Reads a UTF-8 file, or every regular file below a directory in order of path. Throws tartan::Error, naming the file,
/// where it cannot be read or holds no word, and with the byte offset where it is not UTF-8.
Corpus read_corpus(const std::string& path);

/// The corpus that `text` is; `name` stands for it in messages. Throws as read_corpus does.
Corpus parse_corpus(std::string_view text, const std::string& name);

/// The words of `text` one by one, as a corpus would hold them.
std::vector<std::string> split_words(std::string_view text);

}  // namespace word_vectors
