// What language_model reads: byte pairs, batches, the baseline of bigrams, the command line.

#include <cmath>
#include <fstream>
#include <map>

#include "language_model/bigrams.hpp"
#include "language_model/byte_pairs.hpp"
#include "language_model/options.hpp"
#include "support/catch.hpp"
#include "support/error_text.hpp"

namespace language_model {
namespace {

using tartan::testing::contains;
using tartan::testing::error_text;

const std::string text =
    "In the beginning God created the heaven and the earth.\nAnd the earth was without form, and void; and darkness "
    "was upon the face of the deep. 1:3 \xe2\x80\x94 \t\n  And God said, Let there be light: and there was light.";

TEST_CASE("byte pairs: every text comes back, in fewer tokens than bytes") {
  const BytePairs pairs(text, 280);
  CHECK(pairs.size() == 280);
  const auto tokens = pairs.encode(text);
  CHECK(pairs.decode(tokens) == text);
  CHECK(tokens.size() < text.size() * 2 / 3);
  for (const auto token : tokens) CHECK((0 <= token && token < 280));
  const std::string unseen = "Zebras & xylophones \x01\xff, and the earth  \n";
  CHECK(pairs.decode(pairs.encode(unseen)) == unseen);
  CHECK(pairs.encode("").empty());
}

TEST_CASE("byte pairs: the most frequent pair is the first, of equal ones that of the lowest bytes") {
  const BytePairs pairs("abab abab cdcd", 258);
  // "ab" four times; then ("ab", "ab") twice, and "cd" twice: 'c' is below the token of "ab".
  CHECK(pairs.decode(std::vector<std::int32_t>{256, 257}) == "abcd");
  CHECK(pairs.encode("abcdab") == std::vector<std::int32_t>{256, 257, 256});
}

TEST_CASE("byte pairs: no token reaches across words, and learning ends where nothing repeats") {
  const BytePairs pairs("a b a b a b", 1000);
  CHECK(pairs.size() == 258);  // " a" and " b", the space of a word being its own
  CHECK(pairs.decode(std::vector<std::int32_t>{256, 257}) == " b a");
  CHECK(BytePairs("", 300).size() == 256);
  CHECK(contains(error_text([] { BytePairs("a", 255); }), "256"));
}

TEST_CASE("bigrams: the loss is that of counts with k added") {
  const std::vector<std::int32_t> seen{0, 1, 0, 1, 2};
  const Bigrams bigrams(seen, 3);
  const std::vector<std::int32_t> asked{0, 1, 1, 2};
  const double k = 0.5;
  // n(0, 1) = 2 of 2, n(1, 1) = 0 of 2, n(1, 2) = 1 of 2.
  const double expected =
      -(std::log((2 + k) / (2 + 3 * k)) + std::log(k / (2 + 3 * k)) + std::log((1 + k) / (2 + 3 * k))) / 3;
  CHECK(bigrams.loss(asked, k) == Approx(expected).epsilon(1e-14));
  CHECK(bigrams.best_loss(asked) <= bigrams.loss(asked, 1.0));
}

std::optional<Options> parsed(std::vector<const char*> arguments) {
  arguments.insert(arguments.begin(), "language_model");
  return parse_options(static_cast<int>(arguments.size()), arguments.data());
}

TEST_CASE("language_model's command line") {
  const auto options = *parsed({"--grid", "2x4", "--heads", "8", "--width", "64", "--seed", "7", "--corpus", "x.txt"});
  CHECK(*options.grid == tartan::Shape{2, 4});
  CHECK(options.heads == 8);
  CHECK(options.seed == 7);
  CHECK(options.corpus == "x.txt");
  CHECK(!parsed({"--help"}).has_value());
  CHECK(contains(error_text([] { parsed({"--grid", "2x1x4"}); }), "two extents"));
  CHECK(contains(error_text([] { parsed({"--heads", "3"}); }), "divides the width, 128"));
  CHECK(contains(error_text([] { parsed({"--dropout", "1"}); }), "--dropout"));
  CHECK(contains(error_text([] { parsed({"--vocabulary", "255"}); }), "--vocabulary"));
}

}  // namespace
}  // namespace language_model
