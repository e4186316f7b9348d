#pragma once

#include <string>
#include <vector>

namespace tartan {

/// A rank holds its block of dimension `dim`: the logical tensor is the concatenation along the axis.
struct Shard {
  int dim = 0;  ///< negative counts from the end
};
/// A rank holds all of it: the logical tensor is any copy.
struct Replicate {};
/// A rank holds one term: the logical tensor is the sum along the axis.
struct Partial {};
/// Coordinate 0 holds all of it, the others nothing: the logical tensor is coordinate 0's copy.
struct Root {};

/// How a tensor lies along one axis of a grid.
class Placement {
 public:
  enum class Kind { shard, replicate, partial, root };

  constexpr Placement(Shard shard) : kind_{Kind::shard}, dim_{shard.dim} {}
  constexpr Placement(Replicate) : kind_{Kind::replicate} {}
  constexpr Placement(Partial) : kind_{Kind::partial} {}
  constexpr Placement(Root) : kind_{Kind::root} {}

  constexpr Kind kind() const noexcept { return kind_; }
  constexpr bool is_shard() const noexcept { return kind_ == Kind::shard; }
  constexpr bool is_shard(int dim) const noexcept { return is_shard() && dim_ == dim; }
  constexpr bool is_replicate() const noexcept { return kind_ == Kind::replicate; }
  constexpr bool is_partial() const noexcept { return kind_ == Kind::partial; }
  constexpr bool is_root() const noexcept { return kind_ == Kind::root; }
  /// The sharded dimension; 0 where nothing is sharded.
  constexpr int dim() const noexcept { return dim_; }

  /// Replicate and Partial are each other's dual, Shard and Root their own. The adjoint of the move a -> b is the move
  /// b.dual() -> a.dual().
  constexpr Placement dual() const noexcept {
    if (is_replicate()) return Partial{};
    if (is_partial()) return Replicate{};
    return *this;
  }
  /// The placement in which an operation's backward takes the gradient of an output placed so: Replicate for Partial,
  /// itself otherwise.
  constexpr Placement gradient() const noexcept { return is_partial() ? Placement{Replicate{}} : *this; }

  std::string to_string() const;  ///< "Shard(0)"

  friend constexpr bool operator==(const Placement&, const Placement&) = default;

 private:
  Kind kind_;
  int dim_ = 0;
};

/// One placement per axis of a grid.
using Placements = std::vector<Placement>;

std::string to_string(const Placements& placements);  ///< "[Shard(0), Replicate]"

}  // namespace tartan
