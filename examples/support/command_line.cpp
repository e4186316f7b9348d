#include "command_line.hpp"

#include <fmt/ranges.h>

#include <cstdint>
#include <vector>

namespace command_line {

cxxopts::ParseResult parse(cxxopts::Options options, int argc, const char* const* argv) try {
  auto line = options.parse(argc, argv);
  if (!line.unmatched().empty()) {
    throw tartan::Error(fmt::format("unexpected argument \"{}\" (see --help)", line.unmatched().front()));
  }
  return line;
} catch (const cxxopts::exceptions::exception& error) {
  throw tartan::Error(fmt::format("{} (see --help)", error.what()));
}

void reject(const std::string& option, const std::string& value, const std::string& expected) {
  throw tartan::Error(fmt::format("--{} \"{}\": expected {}", option, value, expected));
}

std::optional<tartan::Shape> grid(const cxxopts::ParseResult& line, int axes) {
  if (line.count("grid") == 0) return std::nullopt;
  const auto& text = line["grid"].as<std::string>();
  const std::string expected = fmt::format("{} extents of 1 or more that multiply to the number of ranks, as {}",
                                           axes == 3 ? "three" : "two", axes == 3 ? "2x1x4" : "2x4");
  std::vector<tartan::Index> extents;
  std::string_view rest = text;
  for (bool more = true; more;) {
    const auto cross = rest.find('x');
    const auto extent = whole_number<std::int32_t>(rest.substr(0, cross));
    if (!extent || *extent < 1) reject("grid", text, expected);
    extents.push_back(*extent);
    more = cross != std::string_view::npos;
    if (more) rest.remove_prefix(cross + 1);
  }
  if (std::ssize(extents) != axes) reject("grid", text, expected);
  return tartan::Shape(std::move(extents));
}

tartan::Shape grid_for(const std::optional<tartan::Shape>& grid, int ranks, int axes) {
  std::vector<tartan::Index> all_last(static_cast<std::size_t>(axes), 1);
  all_last.back() = ranks;
  auto shape = grid.value_or(tartan::Shape(std::move(all_last)));
  if (shape.elements() != ranks) {
    throw tartan::Error(
        fmt::format("--grid {} has {} ranks, but this job has {}", fmt::join(shape, "x"), shape.elements(), ranks));
  }
  return shape;
}

tartan::Device device(const cxxopts::ParseResult& line) {
  const auto& text = line["device"].as<std::string>();
  if (text == "cpu") return {};
  if (text == "cuda") return tartan::Device::cuda();
  const std::string_view prefix = "cuda:";
  const auto number =
      text.starts_with(prefix) ? whole_number<int>(std::string_view(text).substr(prefix.size())) : std::optional<int>();
  if (!number || *number < 0) reject("device", text, "cpu, cuda or cuda:N");
  return tartan::Device::cuda(*number);
}

}  // namespace command_line
