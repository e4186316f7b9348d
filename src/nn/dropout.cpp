#include <tartan/nn/dropout.hpp>

#include "base/fail.hpp"

namespace tartan {

DistributedDropout::DistributedDropout(DropoutOptions options) : options_(std::move(options)) {
  require(options_.p >= 0 && options_.p <= 1, "the dropout '{}' takes a probability from 0 to 1, not {}", options_.name,
          options_.p);
}

RandomStream DistributedDropout::stream_of(std::uint64_t call) const {
  return {options_.seed, fmt::format("{}, call {}", options_.name, call)};
}

}  // namespace tartan
