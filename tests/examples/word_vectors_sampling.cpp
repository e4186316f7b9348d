#include "sampling.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <set>
#include <string>

#include "support/catch.hpp"
#include "support/error_text.hpp"

using tartan::testing::contains;
using tartan::testing::error_text;
using namespace word_vectors;

namespace {

/// The word that stands for a number: letters only.
std::string word(Index n) {
  std::string letters;
  do letters += static_cast<char>('a' + n % 26);
  while ((n /= 26) > 0);
  return letters + "q";
}

/// `lines` sentences of 1 to 30 words, word n about in proportion to 1 / (n + 1).
std::string zipf_text(int lines) {
  const tartan::RandomStream draws(7, "zipf");
  std::string text;
  Index draw = 0;
  for (int line = 0; line < lines; ++line) {
    for (int i = 0; i <= line % 30; ++i) text += word(static_cast<Index>(std::pow(200.0, draws.uniform(draw++)))) + " ";
    text += '\n';
  }
  return text;
}

struct Text {
  explicit Text(const std::string& text)
      : vocabulary{parse_corpus(text, "text"), 1}, sentences{encode(parse_corpus(text, "text"), vocabulary)} {}
  Epoch epoch(const SamplingOptions& options, std::uint64_t seed = 1, Index number = 0) const {
    return {vocabulary, sentences, options, seed, number};
  }
  Vocabulary vocabulary;
  Sentences sentences;
};

std::vector<Pair> all_pairs(const Epoch& epoch) {
  std::vector<Pair> pairs;
  for (Index step = 0; step < epoch.steps(); ++step) {
    const auto batch = epoch.pairs(step);
    REQUIRE(batch.first_pair == static_cast<Index>(pairs.size()));
    REQUIRE_FALSE(batch.pairs.empty());
    pairs.insert(pairs.end(), batch.pairs.begin(), batch.pairs.end());
  }
  CHECK(static_cast<Index>(pairs.size()) == epoch.pair_count());
  return pairs;
}

/// Pearson's statistic in standard deviations above its mean, for outcomes expected at least 5 times.
double excess_chi_square(const std::vector<double>& observed, const std::vector<double>& expected) {
  double statistic = 0;
  int freedom = -1;
  for (std::size_t i = 0; i < observed.size(); ++i) {
    if (expected[i] < 5) continue;
    statistic += (observed[i] - expected[i]) * (observed[i] - expected[i]) / expected[i];
    ++freedom;
  }
  REQUIRE(freedom > 0);
  return (statistic - freedom) / std::sqrt(2.0 * freedom);
}

/// One sentence of `n` different words: ids and places are in one order.
std::string ladder(Index n) {
  std::string text;
  for (Index i = 0; i < n; ++i) text += word(i) + " ";
  return text;
}

}  // namespace

TEST_CASE("an alias table holds its weights to rounding") {
  std::vector<double> weights{0, 1e-9, 3, 0.25, 1000, 1, 1, 0, 7.5};
  const tartan::RandomStream draws(3, "weights");
  for (Index i = 0; i < 1000; ++i) weights.push_back(std::exp(5 * draws.normal(i)));
  const auto probabilities = AliasTable(weights).probabilities();
  double total = 0;
  for (const double weight : weights) total += weight;
  for (std::size_t i = 0; i < weights.size(); ++i) CHECK(std::abs(probabilities[i] - weights[i] / total) < 1e-14);
}

TEST_CASE("an alias table draws within its range and in proportion") {
  const std::vector<double> weights{5, 0, 1, 1, 13};
  const AliasTable table(weights);
  CHECK(table.size() == 5);
  const std::uint32_t ones = std::numeric_limits<std::uint32_t>::max();
  CHECK(AliasTable(std::vector<double>(5, 1.0)).draw({0, 0, 0, 0}) == 0);
  CHECK(AliasTable(std::vector<double>(5, 1.0)).draw({ones, ones, ones, ones}) == 4);

  const tartan::RandomStream bits(4, "draws");
  std::vector<double> observed(5), expected;
  for (const double weight : weights) expected.push_back(100'000 * weight / 20);
  for (Index i = 0; i < 100'000; ++i) ++observed[static_cast<std::size_t>(table.draw(bits.bits(i)))];
  CHECK(observed[1] == 0);
  CHECK(excess_chi_square(observed, expected) < 4);
}

TEST_CASE("an alias table refuses weights that are no distribution") {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const double infinity = std::numeric_limits<double>::infinity();
  for (const auto& weights : std::vector<std::vector<double>>{{}, {0, 0}, {1, -1e-9}, {1, nan}, {1, infinity}}) {
    CHECK(error_text([&] { AliasTable{weights}; }) != "no error");
  }
}

TEST_CASE("samples do not depend on how a batch is split") {
  const Text text(zipf_text(300));
  const auto epoch = text.epoch({.batch = 100}, 5, 2);
  REQUIRE(epoch.steps() > 3);
  for (Index step = 0; step < epoch.steps(); ++step) {
    const auto batch = epoch.pairs(step);
    const auto whole = epoch.targets(batch.first_pair, batch.pairs);
    REQUIRE(whole.size() == batch.pairs.size() * 6);
    for (const std::size_t parts : {1u, 2u, 3u, 7u}) {
      std::vector<std::int32_t> joined;
      for (std::size_t part = 0; part < parts; ++part) {
        const auto begin = batch.pairs.size() * part / parts;
        const auto end = batch.pairs.size() * (part + 1) / parts;
        const auto piece = epoch.targets(batch.first_pair + static_cast<Index>(begin),
                                         std::span(batch.pairs).subspan(begin, end - begin));
        joined.insert(joined.end(), piece.begin(), piece.end());
      }
      CHECK(joined == whole);
    }
  }
}

TEST_CASE("the size of a batch cuts the same sequence of pairs") {
  const Text text(zipf_text(200));
  const auto pairs = all_pairs(text.epoch({.batch = 64}));
  CHECK(all_pairs(text.epoch({.batch = 1})) == pairs);
  CHECK(all_pairs(text.epoch({.batch = 1'000'000})) == pairs);
  CHECK(text.epoch({.batch = 1'000'000}).steps() == 1);
  CHECK(text.epoch({.batch = 64}).steps() == (text.epoch({}).centre_count() + 63) / 64);
}

TEST_CASE("seed and epoch change every sample") {
  const Text text(zipf_text(200));
  const auto epoch = text.epoch({}, 1, 0);
  CHECK(all_pairs(text.epoch({}, 1, 0)) == all_pairs(epoch));
  CHECK(all_pairs(text.epoch({}, 2, 0)) != all_pairs(epoch));
  CHECK(all_pairs(text.epoch({}, 1, 1)) != all_pairs(epoch));
  const std::vector<Pair> same(50, Pair{0, 1});
  CHECK(text.epoch({}, 1, 0).targets(0, same) == epoch.targets(0, same));
  CHECK(text.epoch({}, 2, 0).targets(0, same) != epoch.targets(0, same));
  CHECK(text.epoch({}, 1, 1).targets(0, same) != epoch.targets(0, same));
}

TEST_CASE("windows stay in their sentence") {
  std::string lines;
  for (Index line = 0; line < 40; ++line) {
    for (Index i = 0; i < 1 + line % 7; ++i) lines += word(100 * line + i) + " ";
    lines += '\n';
  }
  const Text text(lines);
  std::map<std::int32_t, std::size_t> line_of;
  for (std::size_t s = 1; s < text.sentences.offsets.size(); ++s) {
    for (auto i = text.sentences.offsets[s - 1]; i < text.sentences.offsets[s]; ++i) {
      line_of[text.sentences.tokens[static_cast<std::size_t>(i)]] = s;
    }
  }
  std::set<std::int32_t> centres;
  for (const auto& pair : all_pairs(text.epoch({.window = 10, .subsample = 0}))) {
    centres.insert(pair.centre);
    CHECK(pair.centre != pair.context);
    CHECK(line_of[pair.centre] == line_of[pair.context]);
  }
  const auto alone = std::count_if(text.sentences.offsets.begin() + 1, text.sentences.offsets.end(),
                                   [&](const Index& o) { return o - *(&o - 1) == 1; });
  CHECK(static_cast<Index>(centres.size()) == text.vocabulary.size() - alone);
  CHECK(text.epoch({.subsample = 0}).centre_count() == static_cast<Index>(centres.size()));
}

TEST_CASE("every word of a sentence is a centre once, with all words in its reach, and reaches are uniform") {
  const Index n = 20'000, window = 5;
  const Text text(ladder(n));
  std::vector<Index> place(static_cast<std::size_t>(n));
  for (Index i = 0; i < n; ++i) place[static_cast<std::size_t>(text.sentences.tokens[static_cast<std::size_t>(i)])] = i;

  std::map<Index, std::vector<Index>> offsets;
  std::vector<Index> order;
  for (const auto& pair : all_pairs(text.epoch({.window = window, .subsample = 0}))) {
    const Index centre = place[static_cast<std::size_t>(pair.centre)];
    if (order.empty() || order.back() != centre) order.push_back(centre);
    offsets[centre].push_back(place[static_cast<std::size_t>(pair.context)] - centre);
  }
  CHECK(static_cast<Index>(order.size()) == n);
  CHECK(static_cast<Index>(offsets.size()) == n);
  CHECK_FALSE(std::is_sorted(order.begin(), order.end()));

  std::vector<double> observed(window);
  for (Index centre = window; centre < n - window; ++centre) {
    const Index reach = offsets[centre].back();
    REQUIRE((1 <= reach && reach <= window));
    std::vector<Index> expected;
    for (Index d = -reach; d <= reach; ++d) {
      if (d != 0) expected.push_back(d);
    }
    CHECK(offsets[centre] == expected);
    ++observed[static_cast<std::size_t>(reach - 1)];
  }
  const double each = static_cast<double>(n - 2 * window) / window;
  CHECK(excess_chi_square(observed, std::vector<double>(window, each)) < 4);
}

TEST_CASE("the shuffle reaches every place") {
  const Index n = 400;
  const Text text(ladder(n));
  std::vector<double> first_quarter(4);
  for (Index number = 0; number < 100; ++number) {
    const auto batch = text.epoch({.batch = n / 4, .subsample = 0}, 1, number).pairs(0);
    std::set<std::int32_t> centres;
    for (const auto& pair : batch.pairs) centres.insert(pair.centre);
    for (const auto centre : centres) {
      const auto at = std::find(text.sentences.tokens.begin(), text.sentences.tokens.end(), centre);
      ++first_quarter[static_cast<std::size_t>((at - text.sentences.tokens.begin()) / (n / 4))];
    }
  }
  CHECK(excess_chi_square(first_quarter, std::vector<double>(4, 100.0 * n / 16)) < 4);
}

TEST_CASE("frequent words are thinned by word2vec's rule and their sentences close up") {
  std::string line;
  for (Index i = 0; i < 9'000; ++i) line += i % 9 == 0 ? word(i) + " " : "often ";  // 8000 of 9000, the rest once each
  const Text text(line);
  const double t = 0.1, share = 8.0 / 9.0;
  const double keep = std::sqrt(t / share) + t / share;
  const auto epoch = text.epoch({.window = 1, .subsample = t});
  const double kept = static_cast<double>(epoch.centre_count() - 1'000);
  CHECK(std::abs(kept - 8'000 * keep) < 4 * std::sqrt(8'000 * keep * (1 - keep)));
  CHECK(epoch.pair_count() == 2 * epoch.centre_count() - 2);  // a window of 1: all but the ends have two neighbours
  CHECK(text.epoch({.subsample = 0}).centre_count() == 9'000);
  CHECK(text.epoch({.subsample = 1}).centre_count() == 9'000);
}

TEST_CASE("negatives follow unigram^0.75 without the context word") {
  const Text text(zipf_text(400));
  const auto& vocabulary = text.vocabulary;
  const auto size = static_cast<std::size_t>(vocabulary.size());
  double total = 0;
  std::vector<double> noise;
  for (Index id = 0; id < vocabulary.size(); ++id) {
    noise.push_back(std::pow(static_cast<double>(vocabulary.count(id)), 0.75));
    total += noise.back();
  }
  for (auto& p : noise) p /= total;

  const auto epoch = text.epoch({.negatives = 8, .subsample = 0});
  const auto pairs = all_pairs(epoch);
  const auto ids = epoch.targets(0, pairs);
  REQUIRE(ids.size() == pairs.size() * 9);
  std::vector<double> observed(size), expected(size);
  for (std::size_t i = 0; i < pairs.size(); ++i) {
    const auto context = static_cast<std::size_t>(pairs[i].context);
    REQUIRE(ids[9 * i] == pairs[i].context);
    for (std::size_t k = 1; k < 9; ++k) {
      REQUIRE(ids[9 * i + k] != pairs[i].context);
      ++observed[static_cast<std::size_t>(ids[9 * i + k])];
    }
    for (std::size_t id = 0; id < size; ++id) {
      if (id != context) expected[id] += 8 * noise[id] / (1 - noise[context]);
    }
  }
  CHECK(excess_chi_square(observed, expected) < 4);
}

TEST_CASE("a pair has all its negatives even where one word is nearly everything") {
  std::string lines = "rare often\n";
  for (int i = 0; i < 20'000; ++i) lines += "often\n";
  const Text text(lines);
  const auto epoch = text.epoch({.subsample = 0});
  CHECK(epoch.centre_count() == 2);
  const auto often = *text.vocabulary.find("often"), rare = *text.vocabulary.find("rare");
  const std::vector<Pair> pairs{{rare, often}, {often, rare}};
  CHECK(epoch.targets(0, pairs) == std::vector<std::int32_t>{often, rare, rare, rare, rare, rare,  //
                                                             rare, often, often, often, often, often});
}

TEST_CASE("a text that gives no pair is an error") {
  CHECK(contains(error_text([] { Text("one\ntwo\none\n").epoch({}, 1, 3); }), "epoch 3"));
  CHECK(contains(error_text([] { Text("one one one").epoch({}); }), "two words"));
}
