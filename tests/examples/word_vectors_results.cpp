#include <sys/stat.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <limits>
#include <sstream>
#include <tartan/base/random.hpp>

#include "categories.hpp"
#include "neighbours.hpp"
#include "scratch_directory.hpp"
#include "support/catch.hpp"
#include "support/error_text.hpp"
#include "vectors_file.hpp"

using tartan::testing::contains;
using tartan::testing::error_text;
using namespace word_vectors;

namespace {

/// A vocabulary that holds each word as often as it says.
Vocabulary vocabulary_of(const std::vector<std::pair<std::string, int>>& counts) {
  std::string text;
  for (const auto& [word, count] : counts) {
    for (int i = 0; i < count; ++i) text += word + " ";
  }
  return {parse_corpus(text, "text"), 1};
}

}  // namespace

TEST_CASE("the area under the curve counts ties half") {
  using Values = std::vector<double>;
  CHECK(area_under_curve(Values{2, 3}, Values{0, 1}) == 1);
  CHECK(area_under_curve(Values{0, 1}, Values{2, 3}) == 0);
  CHECK(area_under_curve(Values{1, 1}, Values{1, 1, 1}) == 0.5);
  CHECK(area_under_curve(Values{1, 3}, Values{2, 0}) == 0.75);
  CHECK(area_under_curve(Values{1, 2}, Values{1, 0, 2, 3}) == (1.5 + 2.5) / 8);
}

TEST_CASE("categories that the vectors tell apart score 1, equal vectors a half") {
  std::vector<std::pair<std::string, int>> counts;
  std::vector<Category> categories{{"first", {"unheard", "seldom"}}, {"second", {}}};
  for (char letter = 'a'; letter < 'i'; ++letter) {
    for (std::size_t kind = 0; kind < 2; ++kind) {
      categories[kind].words.push_back(std::string(kind + 1, letter));
      counts.emplace_back(categories[kind].words.back(), 20);
    }
  }
  counts.emplace_back("seldom", 19);
  const auto vocabulary = vocabulary_of(counts);
  std::vector<float> apart(static_cast<std::size_t>(vocabulary.size()) * 2);
  for (Index id = 0; id < vocabulary.size(); ++id) {
    apart[static_cast<std::size_t>(2 * id + (vocabulary.word(id).size() == 1 ? 0 : 1))] = 1;
  }

  const auto check = check_categories(vocabulary, {apart, 2}, 1, categories);
  CHECK(check.pairs == 2 * 8 * 7 / 2);
  REQUIRE(check.auc);
  CHECK(*check.auc == 1);
  CHECK(check.to_string() == "category AUC 1.000");
  CHECK(check_categories(vocabulary, {std::vector<float>(apart.size(), 1.0F), 2}, 1, categories).auc == 0.5);

  categories.pop_back();
  const auto few = check_categories(vocabulary, {apart, 2}, 1, categories);
  CHECK(few.pairs == 28);
  CHECK_FALSE(few.auc);
  CHECK(contains(few.to_string(), "28 pairs"));
}

TEST_CASE("untrained vectors score about a half, by seed alone") {
  std::vector<std::pair<std::string, int>> counts;
  for (const auto& category : king_james_categories()) {
    for (const auto& word : category.words) counts.emplace_back(word, 20);
  }
  const auto vocabulary = vocabulary_of(counts);
  const tartan::RandomStream random(1, "vectors");
  std::vector<float> values(static_cast<std::size_t>(vocabulary.size()) * 64);
  for (std::size_t i = 0; i < values.size(); ++i)
    values[i] = static_cast<float>(random.uniform(static_cast<Index>(i)) - 0.5);
  const auto auc = check_categories(vocabulary, {values, 64}, 1).auc;
  REQUIRE(auc);
  CHECK(std::abs(*auc - 0.5) < 0.06);
  CHECK(check_categories(vocabulary, {values, 64}, 1).auc == auc);
  CHECK(check_categories(vocabulary, {values, 64}, 2).auc != auc);
}

TEST_CASE("there are ten categories of different words") {
  CHECK(king_james_categories().size() == 10);
  std::vector<std::string> words;
  for (const auto& category : king_james_categories()) {
    CHECK((8 <= category.words.size() && category.words.size() <= 15));
    words.insert(words.end(), category.words.begin(), category.words.end());
  }
  std::sort(words.begin(), words.end());
  CHECK(std::adjacent_find(words.begin(), words.end()) == words.end());
  for (const auto& word : words) CHECK(split_words(word) == std::vector<std::string>{word});
}

TEST_CASE("neighbours are the nearest frequent words") {
  const auto vocabulary = vocabulary_of({{"east", 50}, {"north", 40}, {"northeast", 30}, {"west", 20}, {"rare", 19}});
  const std::vector<float> values{1, 0, 0, 2, 3, 3, -1, 0, 1, 0.1F};
  const Vectors vectors{values, 2};
  const auto found = nearest(vocabulary, vectors, 0, 10);
  REQUIRE(found.size() == 3);
  CHECK(found[0].id == 2);
  CHECK(std::abs(found[0].similarity - std::sqrt(0.5)) < 1e-12);
  CHECK(found[1].id == 1);
  CHECK(found[1].similarity == 0);
  CHECK(found[2].id == 3);
  CHECK(found[2].similarity == -1);
  CHECK(nearest(vocabulary, vectors, 4, 1).at(0).id == 0);
  CHECK(describe_neighbours(vocabulary, vectors, "east", 2) == "east: northeast 0.71, north 0.00");
  CHECK(contains(describe_neighbours(vocabulary, vectors, "south"), "south: not in the vocabulary"));
}

TEST_CASE("the words to show are the usual ones that are known, and all that were asked for") {
  const auto vocabulary = vocabulary_of({{"king", 2}, {"wine", 1}, {"boat", 1}});
  CHECK(words_to_show(vocabulary, {"boat", "wine", "unknown", "boat"}) ==
        std::vector<std::string>{"king", "wine", "boat", "unknown"});
}

TEST_CASE("a cosine with a vector of zeros is 0") {
  CHECK(cosine(std::vector<float>{0, 0}, std::vector<float>{1, 2}) == 0);
}

TEST_CASE("a file of vectors reads back to the last bit") {
  const ScratchDirectory scratch;
  const auto vocabulary = vocabulary_of({{"wine", 3}, {"ägypten", 2}, {"corn", 3}});
  const std::vector<float> values{
      0.1F, -0.0F, 1.0F / 3, std::numeric_limits<float>::denorm_min(), std::numeric_limits<float>::max(), -1.5e-7F};
  write_vectors(scratch.path("vectors"), vocabulary, {values, 2});
  const auto text = scratch.read("vectors");
  CHECK(text == "3 2\ncorn 0.1 -0\nwine 0.33333334 1e-45\nägypten 3.4028235e+38 -1.5e-07\n");

  std::istringstream in(text.substr(text.find('\n')));
  std::string token;
  std::size_t i = 0;
  for (int row = 0; row < 3; ++row) {
    in >> token;
    CHECK(token == vocabulary.word(row));
    for (int column = 0; column < 2; ++column, ++i) {
      in >> token;
      const float back = std::strtof(token.c_str(), nullptr);
      CHECK(back == values[i]);
      CHECK(std::signbit(back) == std::signbit(values[i]));
    }
  }
}

TEST_CASE("a file of vectors larger than one write is whole") {
  const ScratchDirectory scratch;
  const auto vocabulary = vocabulary_of({{"a", 3}, {"b", 2}, {"c", 1}});
  const std::vector<float> values(3 * 300'000, 0.123456F);
  write_vectors(scratch.path("vectors"), vocabulary, {values, 300'000});
  const auto text = scratch.read("vectors");
  CHECK(text.size() == std::string("3 300000\n").size() + 3 * 2 + values.size() * std::string(" 0.123456").size());
  CHECK(text.find("\nc 0.123456 ") != std::string::npos);
}

TEST_CASE("a new file of vectors replaces the old one and leaves nothing else") {
  const ScratchDirectory scratch;
  const auto vocabulary = vocabulary_of({{"a", 1}});
  const std::vector<float> one{1}, two{2};
  const auto file = scratch.write("vectors", "old");
  std::filesystem::create_symlink("vectors", scratch.path("link"));
  require_writable(file);
  CHECK(scratch.read("vectors") == "old");
  write_vectors(file, vocabulary, {one, 1});
  CHECK(scratch.read("vectors") == "1 1\na 1\n");
  write_vectors(scratch.path("link"), vocabulary, {two, 1});
  CHECK(scratch.read("vectors") == "1 1\na 2\n");
  CHECK(std::filesystem::is_symlink(scratch.path("link")));
  CHECK(scratch.files() == 2);

  require_writable(scratch.path("new"));
  CHECK_FALSE(std::filesystem::exists(scratch.path("new")));
}

TEST_CASE("a file that cannot be written is an error with the system's reason") {
  const ScratchDirectory scratch;
  const auto vocabulary = vocabulary_of({{"a", 1}});
  const std::vector<float> values{1};
  const auto absent = scratch.path("absent/vectors");
  const auto expected = "output " + absent + ": cannot create it: No such file or directory";
  CHECK(error_text([&] { write_vectors(absent, vocabulary, {values, 1}); }) == expected);
  CHECK(error_text([&] { require_writable(absent); }) == expected);
  CHECK(error_text([&] { require_writable(scratch.path()); }) == "output " + scratch.path() + ": not a regular file");
  CHECK(error_text([&] { require_writable("/dev/null"); }) == "output /dev/null: not a regular file");
  CHECK(scratch.files() == 0);
}
