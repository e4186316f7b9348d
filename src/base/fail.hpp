#pragma once

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <concepts>
#include <string>
#include <utility>

#include <tartan/base/error.hpp>
#include <tartan/base/shape.hpp>

/// Whatever has to_string() is formatted by it: a text that is not needed is not made. The text is copied, since
/// fmt::format_to would compile all of fmt into every source.
template <class T>
requires requires(const T& value) {
  { value.to_string() } -> std::same_as<std::string>;
}
struct fmt::formatter<T> {
  constexpr auto parse(fmt::format_parse_context& context) { return context.begin(); }
  template <class Context>
  auto format(const T& value, Context& context) const {
    const auto text = value.to_string();
    return std::copy(text.begin(), text.end(), context.out());
  }
};
/// Not as the range that it is too.
template <>
struct fmt::is_range<tartan::Shape, char> : std::false_type {};

namespace tartan {

/// Throws Error with a formatted text.
template <class... Args>
[[noreturn]] void fail(fmt::format_string<Args...> format, Args&&... args) {
  throw Error(fmt::format(format, std::forward<Args>(args)...));
}

/// Throws Error with a formatted text unless `condition`. Give it objects, not their to_string(): arguments are
/// evaluated either way.
template <class... Args>
void require(bool condition, fmt::format_string<Args...> format, Args&&... args) {
  if (!condition) fail(format, std::forward<Args>(args)...);
}

}  // namespace tartan
