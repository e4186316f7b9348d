// Training on every grid against training on one rank: same bits where no sum is split, close where one is; what is
// sent; and a loss that is no number.

#include "training.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>

#include <tartan/base/random.hpp>
#include <tartan/comm/agreement.hpp>

#include "corpus.hpp"
#include "partition/oracle.hpp"
#include "support/catch.hpp"
#include "support/error_text.hpp"
#include "support/world.hpp"

namespace word_vectors {
namespace {

using namespace tartan;
using namespace tartan::testing;

/// Sentences in which a few words are frequent and words of one half of the alphabet keep each other company.
std::string some_text() {
  const RandomStream stream(5, "text");
  std::string text;
  Index draw = 0;
  for (int line = 0; line < 110; ++line) {
    const Index half = stream.below(draw++, 2);
    const Index length = 4 + stream.below(draw++, 12);
    for (Index i = 0; i < length; ++i) {
      const double u = stream.uniform(draw++);
      const auto number = static_cast<Index>(40 * u * u);
      text += std::string(text.empty() || text.back() == '\n' ? "" : " ") +
              static_cast<char>('a' + 13 * half + number % 13) + static_cast<char>('a' + number / 13);
    }
    text += '\n';
  }
  return text;
}

struct Text {
  Corpus corpus = parse_corpus(some_text(), "some text");
  Vocabulary vocabulary{corpus, 3};
  Sentences sentences = encode(corpus, vocabulary);
};

const Text& text() {
  static const Text made;
  return made;
}

Options small_options() {
  Options options;
  options.dimension = 9;
  options.epochs = 3;
  options.sampling.batch = 211;
  options.sampling.window = 3;
  options.sampling.subsample = 1e-2;
  return options;
}

TrainingResult trained(const CartesianTopology& grid, const Options& options) {
  return train(grid, text().vocabulary, text().sentences, options, nullptr);
}

/// On one rank; the others run the same program without data.
const TrainingResult& reference() {
  static const auto result = trained(Partition(world()).first(1).cartesian({1, 1, 1}), small_options());
  return result;
}

bool same_bits(const Tensor<float>& a, const Tensor<float>& b) {
  return a.shape() == b.shape() && std::ranges::equal(a.span(), b.span());
}

void check_close(const Tensor<float>& a, const Tensor<float>& b, double tolerance, double cosine) {
  REQUIRE(a.shape() == b.shape());
  if (a.elements() == 0) return;
  double worst = 0;
  double least_cosine = 1;
  for (Index row = 0; row < a.shape()[0]; ++row) {
    double ab = 0;
    double aa = 0;
    double bb = 0;
    for (Index c = 0; c < a.shape()[1]; ++c) {
      const double x = a[row * a.shape()[1] + c];
      const double y = b[row * a.shape()[1] + c];
      worst = std::max(worst, std::abs(x - y));
      ab += x * y;
      aa += x * x;
      bb += y * y;
    }
    least_cosine = std::min(least_cosine, ab / std::sqrt(aa * bb));
  }
  CHECK(worst <= tolerance);
  CHECK(least_cosine >= 1 - cosine);
}

TEST_CASE("training on one rank learns") {
  const auto& result = reference();
  if (world().rank() > 0) {
    CHECK(result.vectors.elements() == 0);
    return;
  }
  CHECK(result.vectors.shape() == Shape{text().vocabulary.size(), 9});
  CHECK(result.loss < 6 * std::log(2.0) - 0.2);
  CHECK(result.words_per_second > 0);
  CHECK(result.bytes_per_word == 0);
}

TEST_CASE("splitting the vocabulary changes no bit") {
  for (const auto movement : {Movement::table, Movement::rows, Movement::automatic}) {
    auto options = small_options();
    options.exchange = movement;
    const auto result = trained(Partition(world()).cartesian({1, world().size(), 1}), options);
    CHECK(same_bits(result.vectors, reference().vectors));
    if (world().rank() == 0) CHECK(result.loss == reference().loss);
  }
}

/// What all ranks should send where tables move, per word: two tables out and their gradients back, whole, a step; a
/// number a target and column rank, out and back; where rows are split, the vectors of centres and targets.
double expected_bytes_per_word(const Shape& grid, const Options& options) {
  Index steps = 0;
  Index pairs = 0;
  for (Index e = 0; e < options.epochs; ++e) {
    const Epoch epoch(text().vocabulary, text().sentences, options.sampling, options.seed, e);
    steps += epoch.steps();
    pairs += epoch.pair_count();
  }
  const Index targets = pairs * (1 + options.sampling.negatives);
  const Index tables = 4 * text().vocabulary.size() * options.dimension * 4 * (grid[0] - 1) * steps;
  const Index products = 8 * targets * (grid[2] - 1) * grid[1];
  const Index vectors = 8 * (pairs + targets) * options.dimension * (grid[1] - 1);
  return static_cast<double>(tables + products + vectors) /
         static_cast<double>(text().vocabulary.corpus_words() * options.epochs);
}

TEST_CASE("every grid comes close to one rank, whatever is stored where and moves") {
  for (const auto& grid : factorisations(world().size(), 3)) {
    const auto topology = Partition(world()).cartesian(grid);
    for (const auto movement : {Movement::table, Movement::rows}) {
      std::optional<TrainingResult> first;
      for (const auto storage : {Storage::root, Storage::replicate, Storage::shard}) {
        if (grid[0] == 1 && first) continue;  // nothing to store apart
        INFO(grid.to_string() << (movement == Movement::table ? ", tables move" : ", rows move"));
        auto options = small_options();
        options.storage = storage;
        options.exchange = movement;
        const auto result = trained(topology, options);
        check_close(result.vectors, reference().vectors, 1e-3, 1e-6);
        if (world().rank() == 0) CHECK(result.loss == Approx(reference().loss).epsilon(1e-5));
        if (movement == Movement::table) {
          CHECK(result.bytes_per_word == Approx(expected_bytes_per_word(grid, options)).epsilon(1e-12));
        }
        // A sum of two terms has one order only.
        if (first && grid[0] <= 2) CHECK(same_bits(result.vectors, first->vectors));
        if (!first) first = result;
      }
    }
  }
}

TEST_CASE("reproducible training gives the same bits on every grid, whatever is stored where and moves") {
  auto options = small_options();
  options.epochs = 1;
  options.dimension = 80;  // three leaves, the last one not whole
  options.reproducible = true;
  const auto alone = trained(Partition(world()).first(1).cartesian({1, 1, 1}), options);
  int turn = 0;
  for (const auto& grid : factorisations(world().size(), 3)) {
    const auto topology = Partition(world()).cartesian(grid);
    for (const auto storage : {Storage::root, Storage::replicate, Storage::shard}) {
      INFO(grid.to_string());
      options.storage = storage;
      options.exchange = std::array{Movement::table, Movement::rows, Movement::automatic}[++turn % 3];
      CHECK(same_bits(trained(topology, options).vectors, alone.vectors));
    }
  }
}

TEST_CASE("the seed decides") {
  auto options = small_options();
  options.epochs = 1;
  const auto grid = Partition(world()).cartesian({world().size(), 1, 1});
  const auto first = trained(grid, options);
  const auto again = trained(grid, options);
  options.seed = 2;
  const auto other = trained(grid, options);
  CHECK(same_bits(first.vectors, again.vectors));
  CHECK(same_bits(first.vectors, other.vectors) == (world().rank() > 0));
}

TEST_CASE("a loss that is not finite is an error on every rank") {
  auto options = small_options();
  options.learning_rate = 1e30;
  for (const auto& grid : factorisations(world().size(), 3)) {
    const auto message = error_text([&] { trained(Partition(world()).cartesian(grid), options); });
    CHECK(contains(message, "the loss is not finite in step "));
    CHECK(contains(message, " of epoch 1: a smaller --learning-rate helps"));
  }
}

}  // namespace
}  // namespace word_vectors
