#pragma once

#include <span>

#include "comm/calls.hpp"

namespace tartan {

/// Combines block i of `from` with block i of `into`, which becomes the result, for `blocks` blocks of `block` doubles.
using CombineBlocks = void (*)(const double* from, double* into, Index blocks, int block);

/// `combine` as an operation of MPI on elements of `block` doubles; both end with this.
template <CombineBlocks combine>
class BlockOperation {
 public:
  BlockOperation(int block, const Communicator& communicator) {
    check_mpi(MPI_Type_contiguous(block, MPI_DOUBLE, &type_), communicator, "all_combine");
    check_mpi(MPI_Type_commit(&type_), communicator, "all_combine");
    check_mpi(MPI_Op_create(call, 1, &operation_), communicator, "all_combine");
  }
  BlockOperation(const BlockOperation&) = delete;
  BlockOperation& operator=(const BlockOperation&) = delete;
  ~BlockOperation() {
    if (operation_ != MPI_OP_NULL) MPI_Op_free(&operation_);
    if (type_ != MPI_DATATYPE_NULL) MPI_Type_free(&type_);
  }

  MPI_Datatype type() const { return type_; }
  MPI_Op operation() const { return operation_; }

 private:
  static void call(void* from, void* into, int* blocks, MPI_Datatype* type) {
    int bytes_of_block = 0;
    MPI_Type_size(*type, &bytes_of_block);
    combine(static_cast<const double*>(from), static_cast<double*>(into), *blocks,
            bytes_of_block / static_cast<int>(sizeof(double)));
  }

  MPI_Datatype type_ = MPI_DATATYPE_NULL;
  MPI_Op operation_ = MPI_OP_NULL;
};

/// Collective. The combination of every rank's `data`, blocks of `block` doubles, in the place of each. `combine` is
/// associative, and gives the same whichever of two comes first; it is recorded as an all-reduction.
template <CombineBlocks combine>
void all_combine(const Communicator& communicator, std::span<double> data, int block) {
  communicator.require_usable();
  const Index n = std::ssize(data);
  enter(communicator, Collective::all_reduce,
        communicator.rank() == 0 ? (communicator.size() - 1) * bytes<double>(n) : bytes<double>(n),
        [&] { return fmt::format("all_combine({} blocks of {})", n / block, block); });
  if (communicator.size() == 1) return;
  const BlockOperation<combine> operation(block, communicator);
  const Index chunk = std::clamp<Index>(chunk_elements<double>() / block, 1, INT_MAX);
  Index done = 0;
  do {
    const Index blocks = std::min(chunk, n / block - done);
    check_mpi(MPI_Allreduce(MPI_IN_PLACE, data.data() + done * block, static_cast<int>(blocks), operation.type(),
                            operation.operation(), communicator.native()),
              communicator, "all_combine");
    done += blocks;
  } while (done < n / block);
}

}  // namespace tartan
