#pragma once

#include <vector>

#include <tartan/partition/distribution.hpp>

namespace tartan::lookup {

/// What moves for a lookup.
enum class Moving {
  nothing,  ///< every rank looks up what it owns: functional::embedding
  rows,     ///< rows travel to the ranks whose ids name them: functional::embedding_by_rows
};

/// Where the parts of a lookup are, from where ids and weight are.
struct Route {
  /// Throws Error where the two do not meet.
  Route(const Distribution& ids, const Distribution& weight, Moving how);

  Moving moving;
  Distribution result;      ///< of the looked-up rows, (ids..., D)
  Distribution terms;       ///< of the weight's gradient before anything is summed along an axis
  std::vector<int> pulled;  ///< axes whose ranks ask the owners for the rows of their own ids
  /// Axes whose ranks have the same ids and give each other the rows they own, inner before outer.
  std::vector<int> gathered;
};

}  // namespace tartan::lookup
