#include <tartan/base/random.hpp>

#include <cmath>
#include <numbers>

#include "base/fail.hpp"
#include "base/philox.hpp"

namespace tartan {
namespace {

__extension__ using Wide = unsigned __int128;

std::uint64_t join(std::uint32_t low, std::uint32_t high) { return (std::uint64_t{high} << 32) | low; }

/// The upper 53 bits as a number of [0, 1).
double unit(std::uint64_t bits) { return static_cast<double>(bits >> 11) * 0x1p-53; }

std::array<std::uint32_t, 4> to_array(PhiloxBlock block) { return std::to_array(block.words); }

}  // namespace

std::array<std::uint32_t, 4> philox4x32(std::array<std::uint32_t, 4> counter, std::array<std::uint32_t, 2> key) {
  return to_array(philox({{counter[0], counter[1], counter[2], counter[3]}}, key[0], key[1]));
}

RandomStream::RandomStream(std::uint64_t seed, std::string_view name) : seed_{seed}, name_{0xcbf29ce484222325} {
  for (const char c : name) name_ = (name_ ^ static_cast<unsigned char>(c)) * 0x100000001b3;
}

std::array<std::uint32_t, 4> RandomStream::bits(Index index) const {
  return to_array(random_bits(seed_, name_, static_cast<std::uint64_t>(index)));
}

double RandomStream::uniform(Index index) const {
  const auto b = bits(index);
  return unit(join(b[0], b[1]));
}

double RandomStream::normal(Index index) const {
  const auto b = bits(index);
  const double radius = std::sqrt(-2.0 * std::log1p(-unit(join(b[0], b[1]))));
  return radius * std::cos(2.0 * std::numbers::pi * (static_cast<double>(join(b[2], b[3])) * 0x1p-64));
}

Index RandomStream::below(Index index, Index bound) const {
  require(bound >= 1, "a random number below {} was asked for", bound);
  const auto b = bits(index);
  const auto product = static_cast<Wide>(join(b[0], b[1])) * static_cast<std::uint64_t>(bound);
  return static_cast<Index>(product >> 64);
}

}  // namespace tartan
