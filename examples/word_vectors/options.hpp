#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <tartan/base/shape.hpp>
#include <tartan/device/device.hpp>

#include "sampling.hpp"

namespace word_vectors {

/// How the tables are stored along the data axis: on coordinate 0, as copies, or as blocks of rows.
enum class Storage { root, replicate, shard };
/// What moves for a lookup and its gradient: tables, or the rows that a batch names; automatic: whichever is expected
/// to send fewer bytes for the lookup, and rows for the gradient.
enum class Movement { automatic, table, rows };

/// The command line of word_vectors.
struct Options {
  std::optional<tartan::Shape> grid;  ///< extents of the data, row and column axes; none: 1x1xn for n ranks
  tartan::Device device;              ///< where tables, gradients and layers lie
  std::string corpus;                 ///< file or directory
  std::optional<std::string> output;  ///< none: no file is written
  Index dimension = 128;
  Index epochs = 5;
  std::uint64_t seed = 1;
  Index minimum_count = 5;
  double learning_rate = 0.1;
  Storage storage = Storage::root;
  Movement exchange = Movement::automatic;
  bool reproducible = false;  ///< the same vectors, to the last bit, on every grid
  SamplingOptions sampling;
  std::vector<std::string> words;  ///< whose neighbours are to be shown, case-folded

  /// The grid of a job of `ranks` ranks; throws tartan::Error where the extents do not multiply to that.
  tartan::Shape grid_for(int ranks) const;
};

/// The options of a command line, or none where it asks for help. Throws tartan::Error naming the option, its value and
/// what it may be. Every rank sees the same command line, so every rank throws the same.
std::optional<Options> parse_options(int argc, const char* const* argv);

/// All options with their defaults, and how to launch the program.
std::string help_text();

}  // namespace word_vectors
