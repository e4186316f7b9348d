#pragma once

#include <mpi.h>

#include <memory>
#include <span>
#include <string>

#include <tartan/base/index.hpp>

namespace tartan {

enum class Reduction { sum, max, min };

/// A group of ranks that talk to each other: RAII over a duplicate of the caller's MPI communicator. Copies share it;
/// no copy or getter communicates. Its error handler returns codes, which become MpiError; after the first one this
/// communicator and all that descend from it (dup, split) refuse further calls.
///
/// Every typed collective is collective over the communicator: all its ranks call it with matching arguments, empty
/// contributions included. Element types: float, double, bfloat16, half, int32, int64 (and std::byte where nothing is
/// reduced). Counts are 64-bit; a call that is too large for MPI's int is cut into several, by sizes that all ranks
/// know (chunk_bytes()). Sizes that contradict each other on one rank throw Error there before anything is sent. Where
/// output and input may be the same memory, they are so on every rank or on none. On one rank a collective only copies.
///
/// bfloat16 and half travel as 16 bits and are reduced in float, in the order of ranks, rounded once: an all-to-all
/// brings each rank the terms of its block of the n elements, which it combines (that is reduce_scatter); all_reduce
/// all-gathers the blocks, and reduce gathers them, which sends up to n elements more than its record says.
class Communicator {
 public:
  /// No communicator: rank -1 of size 0.
  Communicator() = default;
  /// Collective over `parent`, which is duplicated and not used otherwise. Throws Error where MPI is not up or where
  /// TARTAN_CHECKS or TARTAN_DEADLINE hold no legal value.
  explicit Communicator(MPI_Comm parent, std::string name = "communicator");

  bool is_null() const noexcept { return state_ == nullptr; }
  int rank() const noexcept;
  int size() const noexcept;
  /// This rank in the MPI communicator that the family began with, the caller's: how errors number the ranks, whatever
  /// part of them talks. -1 of no communicator.
  int root_rank() const noexcept;
  const std::string& name() const noexcept;
  /// The duplicate itself, for calls that Tartan does not wrap. Free it never.
  MPI_Comm native() const;

  /// Collective. An independent communicator of the same ranks.
  Communicator dup(std::string name) const;
  /// Collective. The ranks of equal `color`, ordered by `key`; a negative color gives the null communicator.
  Communicator split(int color, int key, std::string name) const;

  /// Collective. This rank's number among those that share its node's memory, in their order.
  int rank_on_node() const;

  /// Throws MpiError where an MPI call on this family of communicators has failed, Error after MPI was finalised. Every
  /// call that communicates asks.
  void require_usable() const;
  /// Declares the family of communicators finished, because `why`; further calls throw MpiError with that text.
  void mark_failed(const std::string& why) const;

  void barrier() const;

  /// `data` of `root` everywhere.
  template <class T>
  void broadcast(std::span<T> data, int root) const;
  /// The element-wise reduction of every rank's `in` into `out` of `root` (`out` is ignored elsewhere). `in` and `out`
  /// may be the same memory.
  template <class T>
  void reduce(std::span<const T> in, std::span<T> out, int root, Reduction reduction = Reduction::sum) const;
  /// The element-wise reduction into `out` of every rank. `in` and `out` may be the same memory.
  template <class T>
  void all_reduce(std::span<const T> in, std::span<T> out, Reduction reduction = Reduction::sum) const;

  /// Rank r contributes counts[r] elements; `root` gets them in rank order in `all`. `counts` is the same everywhere.
  template <class T>
  void gather(std::span<const T> mine, std::span<T> all, std::span<const Index> counts, int root) const;
  /// The inverse of gather: rank r gets counts[r] elements of root's `all`.
  template <class T>
  void scatter(std::span<const T> all, std::span<T> mine, std::span<const Index> counts, int root) const;
  /// gather to every rank. `mine` may lie at its own place in `all`.
  template <class T>
  void all_gather(std::span<const T> mine, std::span<T> all, std::span<const Index> counts) const;
  /// The element-wise sum of every rank's `all`, cut into counts[r] elements for rank r.
  template <class T>
  void reduce_scatter(std::span<const T> all, std::span<T> mine, std::span<const Index> counts) const;
  /// `out` goes in consecutive pieces of send_counts[r] to rank r; `in` receives receive_counts[r] from rank r.
  /// Chunked exchange is chosen by `largest`, the largest count on any rank and peer, which all ranks know.
  template <class T>
  void all_to_all(std::span<const T> out, std::span<const Index> send_counts, std::span<T> in,
                  std::span<const Index> receive_counts, Index largest) const;
  /// The same where every rank sends `count` elements to every rank.
  template <class T>
  void all_to_all(std::span<const T> out, std::span<T> in, Index count) const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

/// The most bytes that one MPI call carries per rank: 1 GiB unless set. Set it to the same value on every rank (tests
/// run the chunked paths with 1 KiB).
Index chunk_bytes() noexcept;
void set_chunk_bytes(Index bytes);

}  // namespace tartan
