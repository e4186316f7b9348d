#include <tartan/partition/placement.hpp>

#include "base/fail.hpp"

namespace tartan {

std::string Placement::to_string() const {
  switch (kind_) {
    case Kind::shard:
      return fmt::format("Shard({})", dim_);
    case Kind::replicate:
      return "Replicate";
    case Kind::partial:
      return "Partial";
    case Kind::root:
      return "Root";
  }
  return {};
}

std::string to_string(const Placements& placements) {
  std::vector<std::string> texts;
  for (const auto& placement : placements) texts.push_back(placement.to_string());
  return fmt::format("[{}]", fmt::join(texts, ", "));
}

}  // namespace tartan
