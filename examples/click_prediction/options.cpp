#include "options.hpp"

#include <limits>

#include "support/command_line.hpp"

namespace click_prediction {
namespace {

constexpr Index int_limit = std::numeric_limits<std::int32_t>::max();

cxxopts::Options usage() {
  cxxopts::Options options(
      "click_prediction",
      "Predicts clicks from many categories and a few numbers: an embedding of each category, linear layers and a\n"
      "logistic loss, trained over a Cartesian grid of MPI ranks on samples drawn from a known rule.\n"
      "Launch with: mpiexec --oversubscribe -n 4 click_prediction --grid 2x1x2\n");
  const auto text = [](const char* value) { return cxxopts::value<std::string>()->default_value(value); };
  auto add = options.add_options();
  add("grid", "Ranks along the data, row and column axes, as 2x1x2 (default: 1x1xn for n ranks)",
      cxxopts::value<std::string>(), "DxRxC");
  add("device", "Where tables and layers lie: cpu, cuda (each rank's own device) or cuda:N", text("cpu"), "DEVICE");
  add("steps", "Batches to train on, of new samples each", text("2000"), "N");
  add("batch", "Samples of a step, over the whole grid", text("1024"), "N");
  add("test-samples", "Samples to test on", text("50000"), "N");
  add("dimension", "Numbers in the vector of a category", text("8"), "N");
  add("hidden", "Width of the hidden layers", text("32"), "N");
  add("no-embeddings", "Look at the numbers only");
  add("learning-rate", "Adagrad's, falling linearly to 0", text("0.2"), "X");
  add("seed", "Seed of all random numbers", text("1"), "N");
  add("h,help", "Show this text");
  return options;
}

}  // namespace

std::optional<Options> parse_options(int argc, const char* const* argv) {
  using command_line::number;
  const auto line = command_line::parse(usage(), argc, argv);
  if (line.count("help") > 0) return std::nullopt;
  return Options{.grid = command_line::grid(line),
                 .device = command_line::device(line),
                 .steps = number<Index>(line, "steps", 1, int_limit),
                 .batch = number<Index>(line, "batch", 1, int_limit),
                 .test_samples = number<Index>(line, "test-samples", 1, int_limit),
                 .dimension = number<Index>(line, "dimension", 1, int_limit),
                 .hidden = number<Index>(line, "hidden", 1, int_limit),
                 .embeddings = line.count("no-embeddings") == 0,
                 .learning_rate = number<double>(line, "learning-rate", 1e-9, 1e30),
                 .seed = number<std::uint64_t>(line, "seed", 0, std::numeric_limits<std::uint64_t>::max())};
}

std::string help_text() { return usage().help(); }

}  // namespace click_prediction
