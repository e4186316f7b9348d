#include <fmt/format.h>

#include <cmath>
#include <iostream>

#include <tartan/tartan.hpp>

#include "bigrams.hpp"
#include "support/command_line.hpp"
#include "training.hpp"

namespace {

using namespace language_model;

void run(const tartan::Partition& world, const Options& options) {
  const auto grid = world.cartesian(command_line::grid_for(options.grid, world.size(), 2), options.device);
  const auto print = [first = world.rank() == 0](const std::string& line) {
    if (first) std::cout << line << std::endl;
  };
  const Text text(options);
  Transformer model(grid, options, text.vocabulary.size());
  Index numbers = 0;
  for (const auto& parameter : model.parameters()) numbers += parameter.shape().elements();
  print(fmt::format("{} tokens to learn from, {} to validate, a vocabulary of {}; {} parameters on {}",
                    text.training().size(), text.validation().size(), text.vocabulary.size(), numbers,
                    grid.grid().shape().to_string()));

  double rate = 0;
  train(grid, model, text, options, [&](const Report& report) {
    print(fmt::format("step {:6}  loss {:.4f}  perplexity {:9.2f}  {:8.0f} tokens/s  {:8.1f} bytes/token", report.step,
                      report.loss, std::exp(report.loss), report.tokens_per_second, report.bytes_per_token));
    rate = report.tokens_per_second;
  });

  const double loss = validation_loss(model, text, options);
  const double baseline = Bigrams(text.training(), text.vocabulary.size()).best_loss(text.validation());
  print(fmt::format("perplexity on the validation text: {:.2f}; of bigrams with counts added: {:.2f}", std::exp(loss),
                    std::exp(baseline)));
  if (options.sample > 0) {
    const auto start = text.vocabulary.encode("And the LORD said unto Moses,");
    print("And the LORD said unto Moses," +
          text.vocabulary.decode(sample(grid, model, start, options.sample, options)));
  }
  print(fmt::format("validation loss {:.4f}, {:.0f} tokens/s", loss, rate));
}

}  // namespace

int main(int argc, char** argv) {
  return tartan::run(argc, argv, [&](const tartan::Partition& world) {
    if (const auto options = parse_options(argc, argv)) {
      run(world, *options);
    } else if (world.rank() == 0) {
      std::cout << help_text();
    }
  });
}
