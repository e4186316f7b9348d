#include "options.hpp"

#include <algorithm>
#include <limits>
#include <string_view>

#include "support/command_line.hpp"
#include "support/text_files.hpp"

namespace word_vectors {
namespace {

using command_line::number;
using command_line::reject;

constexpr Index int_limit = std::numeric_limits<std::int32_t>::max();

cxxopts::Options usage() {
  cxxopts::Options options(
      "word_vectors",
      "Skip-gram word vectors with negative sampling, trained over a Cartesian grid of MPI ranks.\n"
      "Launch with: mpiexec --oversubscribe -n 8 word_vectors --grid 2x1x4\n");
  const auto text = [](const char* value) { return cxxopts::value<std::string>()->default_value(value); };
  auto add = options.add_options();
  add("grid", "Ranks along the data, row and column axes, as 2x1x4 (default: 1x1xn for n ranks)",
      cxxopts::value<std::string>(), "DxRxC");
  add("device", "Where the tables lie: cpu, cuda (each rank's own device) or cuda:N", text("cpu"), "DEVICE");
  add("corpus", "UTF-8 text, a sentence a line: a file, or a directory of files",
      text(text_files::default_corpus().c_str()), "PATH");
  add("output", "File for the vectors, in word2vec's text format; none writes no file", text("vectors.txt"), "FILE");
  add("dimension", "Numbers in a vector", text("128"), "N");
  add("epochs", "Passes over the corpus", text("5"), "N");
  add("seed", "Seed of all random numbers", text("1"), "N");
  add("batch", "Centre words of a step, over the whole grid", text("4096"), "N");
  add("words", "Words whose neighbours to show besides the usual, as king,wine", text(""), "LIST");
  add("window", "Furthest context word; each centre draws its own reach", text("5"), "N");
  add("negatives", "Negative samples of a pair", text("5"), "N");
  add("subsample", "Words of a greater share than this are thinned out; 0 keeps all", text("1e-3"), "X");
  add("minimum-count", "Rarer words get no vector", text("5"), "N");
  add("learning-rate", "Adagrad's, falling linearly to 0", text("0.1"), "X");
  add("storage", "Tables along the data axis: root, replicate or shard", text("root"), "KIND");
  add("exchange", "What moves for a lookup: automatic, table or rows", text("automatic"), "KIND");
  add("reproducible", "Write the same vectors, to the last bit, on every grid; sends more");
  add("h,help", "Show this text");
  return options;
}

Storage parse_storage(const std::string& text) {
  if (text == "root") return Storage::root;
  if (text == "replicate") return Storage::replicate;
  if (text == "shard") return Storage::shard;
  reject("storage", text, "root, replicate or shard");
}

Movement parse_exchange(const std::string& text) {
  if (text == "automatic") return Movement::automatic;
  if (text == "table") return Movement::table;
  if (text == "rows") return Movement::rows;
  reject("exchange", text, "automatic, table or rows");
}

std::string path(const cxxopts::ParseResult& line, const std::string& option) {
  const auto& text = line[option].as<std::string>();
  if (text.empty()) reject(option, text, "a path");
  return text;
}

std::vector<std::string> parse_words(const std::string& text) {
  std::vector<std::string> words;
  for (std::size_t begin = 0; begin < text.size();) {
    const auto comma = std::min(text.find(',', begin), text.size());
    const auto item = split_words(std::string_view(text).substr(begin, comma - begin));
    if (item.size() != 1) reject("words", text, "words separated by commas, as king,wine");
    words.push_back(item.front());
    begin = comma + 1;
  }
  return words;
}

}  // namespace

tartan::Shape Options::grid_for(int ranks) const { return command_line::grid_for(grid, ranks); }

std::optional<Options> parse_options(int argc, const char* const* argv) {
  const auto line = command_line::parse(usage(), argc, argv);
  if (line.count("help") > 0) return std::nullopt;
  const auto text = [&](const char* option) { return line[option].as<std::string>(); };

  Options options;
  options.grid = command_line::grid(line);
  options.device = command_line::device(line);
  options.corpus = path(line, "corpus");
  if (text("output") != "none") options.output = path(line, "output");
  options.dimension = number<Index>(line, "dimension", 1, int_limit);
  options.epochs = number<Index>(line, "epochs", 1, int_limit);
  options.seed = number<std::uint64_t>(line, "seed", 0, std::numeric_limits<std::uint64_t>::max());
  options.minimum_count = number<Index>(line, "minimum-count", 1, int_limit);
  options.learning_rate = number<double>(line, "learning-rate", 1e-9, 1e3);
  options.storage = parse_storage(text("storage"));
  options.exchange = parse_exchange(text("exchange"));
  options.reproducible = line.count("reproducible") > 0;
  options.sampling.batch = number<Index>(line, "batch", 1, int_limit);
  options.sampling.window = number<Index>(line, "window", 1, 10'000);
  options.sampling.negatives = number<Index>(line, "negatives", 1, 10'000);
  options.sampling.subsample = number<double>(line, "subsample", 0, 1);
  options.words = parse_words(text("words"));
  return options;
}

std::string help_text() { return usage().help(); }

}  // namespace word_vectors
