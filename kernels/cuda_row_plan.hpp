#pragma once

#include <memory>
#include <vector>

#include "kernels/view.hpp"

namespace tartan::kernels {

/// A RowPlan on a CUDA device: see plan_rows(Cuda, ...). Copies share the arrays; a default one has no hits. What uses
/// it on a stream is enqueued after what made it, without waiting on the host. The stream that it was made on must
/// outlive it; uses may be on others.
class CudaRowPlan {
 public:
  struct State;

  CudaRowPlan() = default;
  explicit CudaRowPlan(std::shared_ptr<const State> state) : state_(std::move(state)) {}

  /// The U distinct rows that are hit, and the hits. The host waits until the plan is made, the first time.
  Index distinct() const;
  Index hits() const;

  /// The distinct rows, ascending, counted from the shard's first: device memory of at least U elements, for kernels on
  /// `where`. Null where there were no ids.
  const Index* rows(Cuda where) const;
  /// The same on the host, which waits for them.
  std::vector<Index> rows_on_host() const;

  /// The device memory that the plan holds, in bytes, and what making it took beside that.
  Index held_bytes() const;
  Index workspace_bytes() const;

  const State* state() const { return state_.get(); }

 private:
  std::shared_ptr<const State> state_;
};

}  // namespace tartan::kernels
