#include "options.hpp"

#include <limits>

#include "support/command_line.hpp"
#include "support/text_files.hpp"

namespace language_model {
namespace {

constexpr Index int_limit = std::numeric_limits<std::int32_t>::max();

cxxopts::Options usage() {
  cxxopts::Options options(
      "language_model",
      "A transformer that learns to continue a text: byte pairs, a vocabulary cut over ranks and shared by embedding "
      "and\n"
      "head, attention heads and hidden layers cut likewise, batches cut over the other axis of a grid of MPI ranks.\n"
      "Bytes/token: what all ranks together send in a step, over the tokens of its batch.\n"
      "Launch with: mpiexec --oversubscribe -n 4 language_model --grid 2x2\n");
  const auto text = [](const char* value) { return cxxopts::value<std::string>()->default_value(value); };
  auto add = options.add_options();
  add("grid", "Ranks along the data and model axes, as 2x2 (default: 1xn for n ranks)", cxxopts::value<std::string>(),
      "DxM");
  add("device", "Where the model lies: cpu, cuda (each rank's own device) or cuda:N", text("cpu"), "DEVICE");
  add("corpus", "A text file", text(text_files::default_corpus().c_str()), "FILE");
  add("steps", "Batches to train on", text("1200"), "N");
  add("batch", "Sequences of a step, over the whole grid", text("16"), "N");
  add("context", "Tokens of a sequence", text("64"), "N");
  add("vocabulary", "Tokens: 256 bytes and pairs of them", text("512"), "N");
  add("layers", "Blocks of attention and hidden layer", text("2"), "N");
  add("width", "Numbers in the vector of a token", text("128"), "N");
  add("heads", "Attention heads, which share the width", text("4"), "N");
  add("dropout", "Share of the activations that training leaves out", text("0"), "P");
  add("learning-rate", "Adam's highest, after a warm-up and before a cosine to 0", text("4e-3"), "X");
  add("sample", "Tokens of text to write at the end", text("60"), "N");
  add("seed", "Seed of all random numbers", text("1"), "N");
  add("h,help", "Show this text");
  return options;
}

}  // namespace

std::optional<Options> parse_options(int argc, const char* const* argv) {
  using command_line::number;
  const auto line = command_line::parse(usage(), argc, argv);
  if (line.count("help") > 0) return std::nullopt;
  Options options{.grid = command_line::grid(line, 2),
                  .device = command_line::device(line),
                  .corpus = line["corpus"].as<std::string>(),
                  .steps = number<Index>(line, "steps", 1, int_limit),
                  .batch = number<Index>(line, "batch", 1, int_limit),
                  .context = number<Index>(line, "context", 2, int_limit),
                  .vocabulary = number<Index>(line, "vocabulary", 256, int_limit),
                  .layers = number<Index>(line, "layers", 1, 1000),
                  .width = number<Index>(line, "width", 1, int_limit),
                  .heads = number<Index>(line, "heads", 1, int_limit),
                  .dropout = number<double>(line, "dropout", 0, 0.99),
                  .learning_rate = number<double>(line, "learning-rate", 1e-9, 1e30),
                  .sample = number<Index>(line, "sample", 0, int_limit),
                  .seed = number<std::uint64_t>(line, "seed", 0, std::numeric_limits<std::uint64_t>::max())};
  if (options.width % options.heads != 0) {
    command_line::reject("heads", line["heads"].as<std::string>(),
                         fmt::format("a number that divides the width, {}", options.width));
  }
  return options;
}

std::string help_text() { return usage().help(); }

}  // namespace language_model
