#include <string>
#include <vector>

#include "support/catch.hpp"
#include "support/error_text.hpp"
#include "vocabulary.hpp"

using tartan::testing::contains;
using tartan::testing::error_text;
using namespace word_vectors;

namespace {

const Corpus corpus = parse_corpus("b é a z\nb a rare b\nz é\nlonely\na c c", "text");  // b a: 3, c z é: 2

}  // namespace

TEST_CASE("words are ordered by descending count, then by bytes") {
  const Vocabulary vocabulary(corpus, 2);
  REQUIRE(vocabulary.size() == 5);
  const std::vector<std::string> words{"a", "b", "c", "z", "é"};
  const std::vector<Index> counts{3, 3, 2, 2, 2};
  for (Index id = 0; id < 5; ++id) {
    CHECK(vocabulary.word(id) == words[static_cast<std::size_t>(id)]);
    CHECK(vocabulary.count(id) == counts[static_cast<std::size_t>(id)]);
    CHECK(vocabulary.find(words[static_cast<std::size_t>(id)]) == id);
  }
  CHECK_FALSE(vocabulary.find("rare"));
  CHECK_FALSE(vocabulary.find(""));
  CHECK(vocabulary.corpus_words() == 14);
  CHECK(vocabulary.kept_words() == 12);
}

TEST_CASE("frequent words are the first ids") {
  const Vocabulary vocabulary(corpus, 1);
  CHECK(vocabulary.frequent(1) == 7);
  CHECK(vocabulary.frequent(2) == 5);
  CHECK(vocabulary.frequent(3) == 2);
  CHECK(vocabulary.frequent(4) == 0);
}

TEST_CASE("rare words leave their sentences, and empty sentences leave the corpus") {
  const auto sentences = encode(corpus, Vocabulary(corpus, 2));
  CHECK(sentences.tokens == std::vector<std::int32_t>{1, 4, 0, 3, 1, 0, 1, 3, 4, 0, 2, 2});
  CHECK(sentences.offsets == std::vector<Index>{0, 4, 7, 9, 12});
}

TEST_CASE("a vocabulary without words is an error") {
  const auto text = error_text([] { Vocabulary(corpus, 4); });
  CHECK(contains(text, "corpus text"));
  CHECK(contains(text, "4 times"));
  CHECK(contains(text, "--minimum-count"));
}
