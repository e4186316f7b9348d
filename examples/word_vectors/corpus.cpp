#include "corpus.hpp"

#include <fmt/format.h>
#include <unicode/bytestream.h>
#include <unicode/casemap.h>
#include <unicode/uchar.h>
#include <unicode/utf8.h>

#include <algorithm>
#include <array>
#include <filesystem>

#include "support/text_files.hpp"
#include "word_index.hpp"

namespace word_vectors {
namespace {

namespace fs = std::filesystem;

enum class Kind : std::uint8_t { other, letter, mark, apostrophe, newline };

Kind kind_of(UChar32 c) {
  if (c == '\n') return Kind::newline;
  if (c == '\'' || c == 0x2019) return Kind::apostrophe;
  const auto category = U_GET_GC_MASK(c);
  if (category & U_GC_L_MASK) return Kind::letter;
  return category & U_GC_M_MASK ? Kind::mark : Kind::other;
}

const std::array<Kind, 128>& ascii_kinds() {
  static const auto table = [] {
    std::array<Kind, 128> kinds{};
    for (std::size_t c = 0; c < kinds.size(); ++c) kinds[c] = kind_of(static_cast<UChar32>(c));
    return kinds;
  }();
  return table;
}

std::string fold_case(const std::string& word) {
  std::string folded;
  icu::StringByteSink<std::string> sink(&folded);
  UErrorCode status = U_ZERO_ERROR;
  icu::CaseMap::utf8Fold(0, word, sink, nullptr, status);
  if (U_FAILURE(status)) throw tartan::Error(fmt::format("case folding of \"{}\": {}", word, u_errorName(status)));
  return folded;
}

/// Calls `on_word(word)` and `on_line()` in the order of the text.
template <class OnWord, class OnLine>
void scan(std::string_view text, const std::string& name, OnWord on_word, OnLine on_line) {
  const auto& kinds = ascii_kinds();
  std::string word;
  bool ascii = true;
  bool apostrophe = false;  // seen after a letter: part of the word only if another letter follows
  const auto end_word = [&] {
    if (!word.empty()) on_word(ascii ? word : fold_case(word));
    word.clear();
    ascii = true;
    apostrophe = false;
  };

  const char* const bytes = text.data();
  const auto size = static_cast<std::int64_t>(text.size());
  for (std::int64_t i = 0; i < size;) {
    const std::int64_t start = i;
    UChar32 c = static_cast<unsigned char>(bytes[i]);
    Kind kind;
    if (c < 128) {
      kind = kinds[static_cast<std::size_t>(c)];
      ++i;
    } else {
      U8_NEXT(bytes, i, size, c);
      if (c < 0) throw tartan::Error(fmt::format("{}: invalid UTF-8 at byte offset {}", name, start));
      kind = kind_of(c);
    }

    const bool continues = !word.empty() && !apostrophe;
    if (kind == Kind::letter || (kind == Kind::mark && continues)) {
      if (apostrophe) word += '\'';
      apostrophe = false;
      if (c < 128) {
        word += static_cast<char>(c | 0x20);
      } else {
        word.append(bytes + start, static_cast<std::size_t>(i - start));
        ascii = false;
      }
    } else if (kind == Kind::apostrophe && continues) {
      apostrophe = true;
    } else {
      end_word();
      if (kind == Kind::newline) on_line();
    }
  }
  end_word();
  on_line();
}

class Builder {
 public:
  explicit Builder(const std::string& name) : corpus_{.name = name} {}

  void add(std::string_view text, const std::string& name) {
    scan(
        text, name, [&](const std::string& word) { corpus_.tokens.push_back(number(word)); },
        [&] {
          const auto end = static_cast<Index>(corpus_.tokens.size());
          if (end > corpus_.sentences.back()) corpus_.sentences.push_back(end);
        });
  }

  Corpus take() {
    if (corpus_.tokens.empty()) throw tartan::Error(fmt::format("corpus {} holds no word", corpus_.name));
    return std::move(corpus_);
  }

 private:
  std::int32_t number(const std::string& word) {
    const auto found = numbers_.find(word);
    if (found != numbers_.end()) return found->second;
    const auto next = tartan::checked_narrow<std::int32_t>(static_cast<Index>(corpus_.words.size()));
    corpus_.words.push_back(word);
    numbers_.emplace(word, next);
    return next;
  }

  Corpus corpus_;
  WordIndex numbers_;
};

std::vector<std::string> files_below(const std::string& directory) {
  std::vector<std::string> files;
  for (const auto& entry : fs::recursive_directory_iterator(directory)) {
    if (entry.is_regular_file()) files.push_back(entry.path().string());
  }
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace

Corpus read_corpus(const std::string& path) try {
  text_files::require_corpus(path);
  Builder builder(path);
  if (!fs::is_directory(path) && !fs::is_regular_file(path)) {
    throw tartan::Error(path + " is neither a file nor a directory");
  }
  const auto files = fs::is_directory(path) ? files_below(path) : std::vector<std::string>{path};
  for (const auto& file : files) builder.add(text_files::read(file), file);
  return builder.take();
} catch (const fs::filesystem_error& error) {
  throw tartan::Error(fmt::format("corpus {}: {}", path, error.what()));
}

Corpus parse_corpus(std::string_view text, const std::string& name) {
  Builder builder(name);
  builder.add(text, name);
  return builder.take();
}

std::vector<std::string> split_words(std::string_view text) {
  std::vector<std::string> words;
  scan(
      text, fmt::format("\"{}\"", text), [&](const std::string& word) { words.push_back(word); }, [] {});
  return words;
}

}  // namespace word_vectors
