#include <tartan/base/decomposition.hpp>

#include "base/fail.hpp"

namespace tartan {

Decomposition Decomposition::balanced(Index extent, Index parts) {
  require(extent >= 0, "a dimension of extent {} cannot be cut", extent);
  require(parts >= 1, "a dimension cannot be cut into {} parts", parts);
  Decomposition result;
  result.extent_ = extent;
  result.parts_ = parts;
  return result;
}

Decomposition Decomposition::from_extents(const std::vector<Index>& extents) {
  require(!extents.empty(), "a dimension cannot be cut into 0 parts");
  Decomposition result;
  result.parts_ = static_cast<Index>(extents.size());
  result.offsets_ = {0};
  for (const Index extent : extents) {
    require(extent >= 0, "a block has the negative extent {}", extent);
    result.offsets_.push_back(checked_add(result.offsets_.back(), extent));
  }
  result.extent_ = result.offsets_.back();
  return result;
}

Interval Decomposition::block(Index part) const {
  require(0 <= part && part < parts_, "part {} does not exist: a dimension of extent {} is cut into {} parts", part,
          extent_, parts_);
  if (!offsets_.empty()) {
    const auto i = static_cast<std::size_t>(part);
    return {offsets_[i], offsets_[i + 1]};
  }
  const Index least = extent_ / parts_;
  const Index more = extent_ % parts_;
  const Index begin = least * part + std::min(part, more);
  return {begin, begin + least + (part < more ? 1 : 0)};
}

Index Decomposition::owner(Index i) const {
  require(0 <= i && i < extent_, "index {} is outside of the extent {}", i, extent_);
  if (!offsets_.empty()) return std::ranges::upper_bound(offsets_, i) - offsets_.begin() - 1;
  const Index least = extent_ / parts_;
  const Index more = extent_ % parts_;
  const Index longer = more * (least + 1);
  return i < longer ? i / (least + 1) : more + (i - longer) / least;
}

bool Decomposition::is_balanced() const { return *this == balanced(extent_, parts_); }

bool operator==(const Decomposition& a, const Decomposition& b) {
  if (a.extent_ != b.extent_ || a.parts_ != b.parts_) return false;
  if (a.offsets_ == b.offsets_) return true;
  for (Index part = 0; part < a.parts_; ++part) {
    if (a.block(part) != b.block(part)) return false;
  }
  return true;
}

}  // namespace tartan
