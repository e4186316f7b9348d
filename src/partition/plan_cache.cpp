#include "partition/plan_cache.hpp"

#include <algorithm>
#include <atomic>

#include <tartan/partition/cartesian_topology.hpp>

namespace tartan {
namespace {

std::atomic<std::uint64_t> caches_made = 0;

Distribution without_topology(const Distribution& d) { return {d.grid(), d.shape(), d.placements(), d.options()}; }

/// Equal in all that a plan, and what is planned from its result, may depend on; both on one grid.
bool identical(const Distribution& a, const Distribution& b) {
  if (a.placements() != b.placements() || a.shape() != b.shape() || a.nesting() != b.nesting()) return false;
  for (int axis = 0; axis < a.grid().axes(); ++axis) {
    if (a.blocks(axis) != b.blocks(axis)) return false;
  }
  return true;
}

}  // namespace

PlanCache::PlanCache() : id_{++caches_made} {}

PlanCache::Plan PlanCache::find(const Distribution& from, const Distribution& to) {
  const auto target = to.topology().plans().id_;
  const std::scoped_lock lock(mutex_);
  const auto found = std::ranges::find_if(entries_, [&](const Entry& entry) {
    return entry.target == target && identical(entry.to, to) && identical(entry.from, from);
  });
  if (found == entries_.end()) return nullptr;
  entries_.splice(entries_.begin(), entries_, found);
  return found->plan;
}

void PlanCache::add(const Distribution& from, const Distribution& to, Plan plan) {
  Entry entry{without_topology(from), without_topology(to), to.topology().plans().id_, std::move(plan)};
  const std::scoped_lock lock(mutex_);
  entries_.push_front(std::move(entry));
  if (entries_.size() > capacity) entries_.pop_back();
}

}  // namespace tartan
