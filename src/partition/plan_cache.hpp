#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <mutex>

#include <tartan/partition/distribution.hpp>

namespace tartan {

/// What was planned for the moves that start on one topology, kept by it: the `capacity` plans used last. A plan is
/// found again for the very distributions and topologies that it was made for only. Equal ones do not do: an equal
/// topology has communicators of its own, and which of its ranks have met it before may differ.
///
/// A plan must not hold a distribution that knows its topology, which would then never end. Safe to use from several
/// threads.
class PlanCache {
 public:
  using Plan = std::shared_ptr<const void>;
  static constexpr std::size_t capacity = 32;

  PlanCache();

  /// The plan from `from`, on the topology of this cache, to `to`; null where there is none.
  Plan find(const Distribution& from, const Distribution& to);
  /// Keeps `plan` for find(), in place of the one that was not found for longest where there are too many.
  void add(const Distribution& from, const Distribution& to, Plan plan);

 private:
  struct Entry {
    Distribution from;  ///< without topology, as `to`
    Distribution to;
    std::uint64_t target;  ///< the id of the cache of the topology of `to`
    Plan plan;
  };

  std::uint64_t id_;  ///< of this cache alone, also after its end
  std::mutex mutex_;
  std::list<Entry> entries_;  ///< last used first
};

}  // namespace tartan
