#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>

namespace word_vectors {

struct WordHash {
  using is_transparent = void;
  std::size_t operator()(std::string_view word) const noexcept { return std::hash<std::string_view>{}(word); }
};

/// The number of each word, found by any kind of string.
using WordIndex = std::unordered_map<std::string, std::int32_t, WordHash, std::equal_to<>>;

}  // namespace word_vectors
