#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include <tartan/base/shape.hpp>
#include <tartan/device/device.hpp>

namespace language_model {

using tartan::Index;

/// The command line of language_model.
struct Options {
  std::optional<tartan::Shape> grid;  ///< extents of the data and model axes; none: 1xn for n ranks
  tartan::Device device;              ///< where parameters, gradients and activations lie
  std::string corpus;                 ///< a text file
  Index steps = 1200;
  Index batch = 16;        ///< sequences of a step, over the whole grid
  Index context = 64;      ///< tokens of a sequence
  Index vocabulary = 512;  ///< tokens, the 256 bytes among them
  Index layers = 2;
  Index width = 128;
  Index heads = 4;
  double dropout = 0;
  double learning_rate = 4e-3;  ///< Adam's, the highest: after the warm-up, before it falls
  Index sample = 60;            ///< tokens of text to write at the end
  std::uint64_t seed = 1;
};

/// The options of a command line, or none where it asks for help. Throws tartan::Error naming the option, its value and
/// what it may be. Every rank sees the same command line, so every rank throws the same.
std::optional<Options> parse_options(int argc, const char* const* argv);

/// All options with their defaults, and how to launch the program.
std::string help_text();

}  // namespace language_model
