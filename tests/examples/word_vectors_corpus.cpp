#include <filesystem>
#include <string>
#include <vector>

#include "corpus.hpp"
#include "scratch_directory.hpp"
#include "support/catch.hpp"
#include "support/error_text.hpp"
#include "support/text_files.hpp"
#include "vocabulary.hpp"

using tartan::testing::contains;
using tartan::testing::error_text;
using namespace word_vectors;
using namespace std::string_literals;
using Words = std::vector<std::string>;

namespace {

Words sentence(const Corpus& corpus, std::size_t s) {
  Words words;
  for (auto i = corpus.sentences[s]; i < corpus.sentences[s + 1]; ++i) {
    words.push_back(corpus.words[static_cast<std::size_t>(corpus.tokens[static_cast<std::size_t>(i)])]);
  }
  return words;
}

}  // namespace

TEST_CASE("words are runs of letters, in lower case") {
  CHECK(split_words("In the beginning God created") == Words{"in", "the", "beginning", "god", "created"});
  CHECK(split_words("1Ki8:27--But will God, indeed...") == Words{"ki", "but", "will", "god", "indeed"});
  CHECK(split_words("a1b_c\td\0e"s + "\x7f" + "f") == Words{"a", "b", "c", "d", "e", "f"});
  CHECK(split_words("Ärger über Øre, ДА 文字") == Words{"ärger", "über", "øre", "да", "文字"});
  CHECK(split_words("\ufeffword") == Words{"word"});
  CHECK(split_words(" 12 .,;").empty());
}

TEST_CASE("an apostrophe belongs to a word only between letters") {
  CHECK(split_words("Aaron's o'er don\u2019t") == Words{"aaron's", "o'er", "don't"});
  CHECK(split_words("'tis dogs' 'quoted' rock''n") == Words{"tis", "dogs", "quoted", "rock", "n"});
  CHECK(split_words("a'1 b'\u0301c 'd") == Words{"a", "b", "c", "d"});
  CHECK(split_words("ends'") == Words{"ends"});
}

TEST_CASE("combining marks stay with their letter") {
  CHECK(split_words("Cafe\u0301s") == Words{"cafe\u0301s"});
  CHECK(split_words("\u0301x 1\u0301y") == Words{"x", "y"});
  CHECK(split_words("हिन्दी") == Words{"हिन्दी"});
}

TEST_CASE("case is folded by Unicode's full rules") {
  CHECK(split_words("STRASSE Straße") == Words{"strasse", "strasse"});
  CHECK(split_words("\u0130") == Words{"i\u0307"});
  CHECK(split_words("ΣΊΣΥΦΟΣ σίσυφος") == Words{"σίσυφοσ", "σίσυφοσ"});
}

TEST_CASE("invalid UTF-8 is an error with its offset") {
  const std::vector<std::pair<std::string, int>> cases{
      {"ab\xff", 2},                  // no lead byte
      {"ab \x80", 3},                 // a continuation on its own
      {"ab\xc3", 2},                  // truncated at the end, 2, 3 and 4 bytes
      {"ab\xe2\x82", 2},              //
      {"ab\xf0\x9f\x98", 2},          //
      {"\xc3\xa4\xe2\x82 x", 2},      // truncated inside
      {"word\n\xc0\xaf", 5},          // overlong, 2, 3 and 4 bytes
      {"word\n\xe0\x80\xaf", 5},      //
      {"word\n\xf0\x80\x80\xaf", 5},  //
      {"x\xed\xa0\x80", 1},           // a surrogate
      {"x\xf4\x90\x80\x80", 1},       // beyond U+10FFFF
  };
  for (const auto& [text, offset] : cases) {
    CHECK(error_text([&, &bytes = text] { parse_corpus(bytes, "name"); }) ==
          "name: invalid UTF-8 at byte offset " + std::to_string(offset));
  }
}

TEST_CASE("a line is a sentence") {
  const auto corpus = parse_corpus("One two\r\n\n 12 \nthree\nfour one", "text");
  REQUIRE(corpus.sentences == std::vector<Index>{0, 2, 3, 5});
  CHECK(sentence(corpus, 0) == Words{"one", "two"});
  CHECK(sentence(corpus, 1) == Words{"three"});
  CHECK(sentence(corpus, 2) == Words{"four", "one"});
  CHECK(corpus.words == Words{"one", "two", "three", "four"});
  CHECK(corpus.tokens == std::vector<std::int32_t>{0, 1, 2, 3, 0});
}

TEST_CASE("a directory is read in order of path") {
  const ScratchDirectory scratch;
  scratch.write("texts/b", "second file");
  scratch.write("texts/a", "first file");
  scratch.write("texts/c/d", "third");
  scratch.write("texts/empty", "");
  const auto corpus = read_corpus(scratch.path("texts"));
  REQUIRE(corpus.sentences == std::vector<Index>{0, 2, 4, 5});
  CHECK(sentence(corpus, 0) == Words{"first", "file"});
  CHECK(sentence(corpus, 1) == Words{"second", "file"});
  CHECK(sentence(corpus, 2) == Words{"third"});

  const auto bad = scratch.write("texts/e", "fine\xff");
  CHECK(error_text([&] { read_corpus(scratch.path("texts")); }) == bad + ": invalid UTF-8 at byte offset 4");
}

TEST_CASE("a file larger than one read keeps its offsets") {
  const ScratchDirectory scratch;
  std::string text;
  while (text.size() < (std::size_t{5} << 18)) text += "ä word\n";
  const auto good = scratch.write("good", text);
  CHECK(read_corpus(good).tokens.size() == text.size() / 8 * 2);
  const auto bad = scratch.write("bad", text + "\xe2\x82");
  CHECK(error_text([&] { read_corpus(bad); }) == bad + ": invalid UTF-8 at byte offset " + std::to_string(text.size()));
}

TEST_CASE("a corpus that gives no word is an error that names it") {
  const ScratchDirectory scratch;
  const auto missing = scratch.path("missing");
  CHECK(error_text([&] { read_corpus(missing); }) == "corpus " + missing + " does not exist");
  for (const char* bytes : {"", "12 34\n--\n"}) {
    const auto file = scratch.write("file", bytes);
    CHECK(error_text([&] { read_corpus(file); }) == "corpus " + file + " holds no word");
  }
  std::filesystem::create_directory(scratch.path("none"));
  CHECK(error_text([&] { read_corpus(scratch.path("none")); }) == "corpus " + scratch.path("none") + " holds no word");
}

TEST_CASE("the default corpus is the King James text, or its error says where it comes from") {
  if (std::filesystem::exists(text_files::default_corpus())) {
    const auto corpus = read_corpus(text_files::default_corpus());
    CHECK(corpus.sentences.size() == 31102 + 1);
    CHECK(Vocabulary(corpus, 5).word(0) == "the");
  } else {
    CHECK(contains(error_text([] { read_corpus(text_files::default_corpus()); }), "scripts/quickstart"));
  }
}
