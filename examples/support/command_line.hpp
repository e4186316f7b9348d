#pragma once

#include <fmt/format.h>

#include <charconv>
#include <cxxopts.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>

#include <tartan/base/error.hpp>
#include <tartan/base/shape.hpp>
#include <tartan/device/device.hpp>

/// What the command lines of the examples share. Every rank sees the same one, so every rank throws the same.
namespace command_line {

/// Throws tartan::Error on an option that `options` does not have, and on anything that is no option.
cxxopts::ParseResult parse(cxxopts::Options options, int argc, const char* const* argv);

/// Throws tartan::Error naming the option, its value and what it may be.
[[noreturn]] void reject(const std::string& option, const std::string& value, const std::string& expected);

/// The number that all of `text` is, or none.
template <class T>
std::optional<T> whole_number(std::string_view text) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc{} && end == text.data() + text.size() ? std::optional(value) : std::nullopt;
}

/// The value of an option that is a number; throws tartan::Error where it is not from `lowest` to `highest`.
template <class T>
T number(const cxxopts::ParseResult& line, const std::string& option, T lowest, T highest) {
  const auto& text = line[option].as<std::string>();
  const auto value = whole_number<T>(text);
  if (!value || !(lowest <= *value && *value <= highest)) {
    reject(
        option, text,
        fmt::format("{} from {} to {}", std::is_floating_point_v<T> ? "a number" : "a whole number", lowest, highest));
  }
  return *value;
}

/// The value of --grid, `axes` extents as 2x1x4 or 2x4, or none where it is not given.
std::optional<tartan::Shape> grid(const cxxopts::ParseResult& line, int axes = 3);
/// That grid, or all ranks along the last of `axes` axes, for a job of n ranks; throws tartan::Error where the extents
/// do not multiply to n.
tartan::Shape grid_for(const std::optional<tartan::Shape>& grid, int ranks, int axes = 3);

/// The value of --device: cpu, cuda (each rank's own device) or cuda:N.
tartan::Device device(const cxxopts::ParseResult& line);

}  // namespace command_line
