#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include <tartan/base/shape.hpp>
#include <tartan/device/device.hpp>

namespace click_prediction {

using tartan::Index;

/// The command line of click_prediction.
struct Options {
  std::optional<tartan::Shape> grid;  ///< extents of the data, row and column axes; none: 1x1xn for n ranks
  tartan::Device device;              ///< where tables, gradients and layers lie
  Index steps = 2000;
  Index batch = 1024;           ///< samples of a step, over the whole grid
  Index test_samples = 50'000;  ///< for the AUC
  Index dimension = 8;          ///< numbers in the vector of a category
  Index hidden = 32;            ///< width of the hidden layers
  bool embeddings = true;       ///< false: the categories are not looked at
  double learning_rate = 0.2;
  std::uint64_t seed = 1;
};

/// The options of a command line, or none where it asks for help. Throws tartan::Error naming the option, its value and
/// what it may be. Every rank sees the same command line, so every rank throws the same.
std::optional<Options> parse_options(int argc, const char* const* argv);

/// All options with their defaults, and how to launch the program.
std::string help_text();

}  // namespace click_prediction
