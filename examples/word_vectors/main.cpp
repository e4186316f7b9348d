#include <fmt/format.h>

#include <filesystem>
#include <iostream>

#include <tartan/tartan.hpp>

#include "categories.hpp"
#include "neighbours.hpp"
#include "training.hpp"
#include "vectors_file.hpp"

namespace {

using namespace word_vectors;

void report(const Vocabulary& vocabulary, const TrainingResult& result, const Options& options) {
  const Vectors vectors{result.vectors.span(), options.dimension};
  std::cout << fmt::format("trained in {} steps with {} targets; {} bytes sent\n\nnearest neighbours\n", result.steps,
                           result.targets, result.bytes);
  for (const auto& word : words_to_show(vocabulary, options.words)) {
    std::cout << "  " << describe_neighbours(vocabulary, vectors, word) << '\n';
  }
  std::cout << '\n' << check_categories(vocabulary, vectors, options.seed).to_string() << '\n';
  if (options.output) std::cout << "vectors written to " << *options.output << '\n';
  std::cout << fmt::format("final loss {:.4f}, {:.0f} words/s, {:.1f} bytes/word", result.loss, result.words_per_second,
                           result.bytes_per_word)
            << std::endl;
}

void train_and_report(const tartan::Partition& world, const Options& options) {
  const auto grid = world.cartesian(options.grid_for(world.size()), options.device);
  const bool first = world.rank() == 0;
  const auto corpus = tartan::collectively(world.root(), [&] {
    if (first && options.output) {
      namespace fs = std::filesystem;
      if (fs::exists(*options.output) && fs::exists(options.corpus) &&
          fs::equivalent(*options.output, options.corpus)) {
        throw tartan::Error("--output would overwrite the corpus " + options.corpus);
      }
      require_writable(*options.output);
    }
    return read_corpus(options.corpus);
  });
  const Vocabulary vocabulary(corpus, options.minimum_count);
  const auto sentences = encode(corpus, vocabulary);
  if (first) {
    std::cout << fmt::format(
                     "{}: {} words in {} lines, {} of them distinct; {} words with vectors of {} on a {} grid\n",
                     corpus.name, vocabulary.corpus_words(), corpus.sentences.size() - 1, corpus.words.size(),
                     vocabulary.size(), options.dimension, fmt::join(grid.grid().shape(), "x"))
              << std::flush;
  }
  std::optional<Progress> progress;
  if (first) progress.emplace(std::cout, standard_output_is_watched(), vocabulary.corpus_words() * options.epochs);
  const auto result = train(grid, vocabulary, sentences, options, first ? &*progress : nullptr);
  tartan::collectively(world.root(), [&] {
    if (first && options.output) {
      write_vectors(*options.output, vocabulary, {result.vectors.span(), options.dimension});
    }
    if (first) report(vocabulary, result, options);
  });
}

}  // namespace

int main(int argc, char** argv) {
  return tartan::run(argc, argv, [&](const tartan::Partition& world) {
    if (const auto options = parse_options(argc, argv)) {
      train_and_report(world, *options);
    } else if (world.rank() == 0) {
      std::cout << help_text();
    }
  });
}
