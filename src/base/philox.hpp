#pragma once

#include <cstdint>

namespace tartan {

struct PhiloxBlock {
  std::uint32_t words[4];
};

/// See philox4x32; for every device.
constexpr PhiloxBlock philox(PhiloxBlock counter, std::uint32_t key0, std::uint32_t key1) {
  auto& [c0, c1, c2, c3] = counter.words;
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t product0 = std::uint64_t{0xD2511F53} * c0;
    const std::uint64_t product1 = std::uint64_t{0xCD9E8D57} * c2;
    counter = {{static_cast<std::uint32_t>(product1 >> 32) ^ c1 ^ key0, static_cast<std::uint32_t>(product1),
                static_cast<std::uint32_t>(product0 >> 32) ^ c3 ^ key1, static_cast<std::uint32_t>(product0)}};
    key0 += 0x9E3779B9;
    key1 += 0xBB67AE85;
  }
  return counter;
}

/// The bits of position `index` of the stream (seed, name), as RandomStream has them.
constexpr PhiloxBlock random_bits(std::uint64_t seed, std::uint64_t name, std::uint64_t index) {
  const auto low = [](std::uint64_t bits) { return static_cast<std::uint32_t>(bits); };
  const auto high = [](std::uint64_t bits) { return static_cast<std::uint32_t>(bits >> 32); };
  return philox({{low(index), high(index), low(name), high(name)}}, low(seed), high(seed));
}

}  // namespace tartan
