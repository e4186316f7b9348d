#include "support/pmpi.hpp"

#include <mpi.h>

#include <numeric>

namespace {

using tartan::Collective;
using tartan::Index;
using tartan::testing::MpiTraffic;

std::array<MpiTraffic, 10> so_far;
constexpr auto messages_slot = static_cast<std::size_t>(Collective::agreement);

Index size_of(MPI_Comm comm) {
  int size = 0;
  PMPI_Comm_size(comm, &size);
  return size;
}

int rank_in(MPI_Comm comm) {
  int rank = 0;
  PMPI_Comm_rank(comm, &rank);
  return rank;
}

void count(Collective collective, MPI_Comm comm, Index elements, MPI_Datatype type) {
  if (size_of(comm) == 1) return;
  int bytes = 0;
  PMPI_Type_size(type, &bytes);
  auto& traffic = so_far[static_cast<std::size_t>(collective)];
  ++traffic.calls;
  traffic.bytes += elements * bytes;
}

/// The elements for all other ranks.
Index leaving(const int counts[], MPI_Comm comm) {
  return std::accumulate(counts, counts + size_of(comm), Index{0}) - counts[rank_in(comm)];
}

}  // namespace

extern "C" {

int MPI_Barrier(MPI_Comm comm) {
  count(Collective::barrier, comm, 0, MPI_BYTE);
  return PMPI_Barrier(comm);
}

int MPI_Bcast(void* data, int n, MPI_Datatype type, int root, MPI_Comm comm) {
  count(Collective::broadcast, comm, rank_in(comm) == root ? (size_of(comm) - 1) * n : 0, type);
  return PMPI_Bcast(data, n, type, root, comm);
}

int MPI_Reduce(const void* in, void* out, int n, MPI_Datatype type, MPI_Op op, int root, MPI_Comm comm) {
  count(Collective::reduce, comm, rank_in(comm) == root ? 0 : n, type);
  return PMPI_Reduce(in, out, n, type, op, root, comm);
}

int MPI_Allreduce(const void* in, void* out, int n, MPI_Datatype type, MPI_Op op, MPI_Comm comm) {
  count(Collective::all_reduce, comm, rank_in(comm) == 0 ? (size_of(comm) - 1) * n : n, type);
  return PMPI_Allreduce(in, out, n, type, op, comm);
}

int MPI_Iallreduce(const void* in, void* out, int n, MPI_Datatype type, MPI_Op op, MPI_Comm comm,
                   MPI_Request* request) {
  count(Collective::all_reduce, comm, rank_in(comm) == 0 ? (size_of(comm) - 1) * n : n, type);
  return PMPI_Iallreduce(in, out, n, type, op, comm, request);
}

int MPI_Gather(const void* in, int n, MPI_Datatype type, void* out, int out_n, MPI_Datatype out_type, int root,
               MPI_Comm comm) {
  count(Collective::gather, comm, rank_in(comm) == root ? 0 : n, type);
  return PMPI_Gather(in, n, type, out, out_n, out_type, root, comm);
}

int MPI_Gatherv(const void* in, int n, MPI_Datatype type, void* out, const int counts[], const int offsets[],
                MPI_Datatype out_type, int root, MPI_Comm comm) {
  count(Collective::gather, comm, rank_in(comm) == root ? 0 : n, type);
  return PMPI_Gatherv(in, n, type, out, counts, offsets, out_type, root, comm);
}

int MPI_Scatter(const void* in, int n, MPI_Datatype type, void* out, int out_n, MPI_Datatype out_type, int root,
                MPI_Comm comm) {
  count(Collective::scatter, comm, rank_in(comm) == root ? (size_of(comm) - 1) * n : 0, type);
  return PMPI_Scatter(in, n, type, out, out_n, out_type, root, comm);
}

int MPI_Scatterv(const void* in, const int counts[], const int offsets[], MPI_Datatype type, void* out, int n,
                 MPI_Datatype out_type, int root, MPI_Comm comm) {
  count(Collective::scatter, comm, rank_in(comm) == root ? leaving(counts, comm) : 0, type);
  return PMPI_Scatterv(in, counts, offsets, type, out, n, out_type, root, comm);
}

int MPI_Allgather(const void* in, int n, MPI_Datatype type, void* out, int out_n, MPI_Datatype out_type,
                  MPI_Comm comm) {
  count(Collective::all_gather, comm, (size_of(comm) - 1) * out_n, out_type);
  return PMPI_Allgather(in, n, type, out, out_n, out_type, comm);
}

int MPI_Allgatherv(const void* in, int n, MPI_Datatype type, void* out, const int counts[], const int offsets[],
                   MPI_Datatype out_type, MPI_Comm comm) {
  count(Collective::all_gather, comm, (size_of(comm) - 1) * counts[rank_in(comm)], out_type);
  return PMPI_Allgatherv(in, n, type, out, counts, offsets, out_type, comm);
}

int MPI_Reduce_scatter_block(const void* in, void* out, int n, MPI_Datatype type, MPI_Op op, MPI_Comm comm) {
  count(Collective::reduce_scatter, comm, (size_of(comm) - 1) * n, type);
  return PMPI_Reduce_scatter_block(in, out, n, type, op, comm);
}

int MPI_Reduce_scatter(const void* in, void* out, const int counts[], MPI_Datatype type, MPI_Op op, MPI_Comm comm) {
  count(Collective::reduce_scatter, comm, leaving(counts, comm), type);
  return PMPI_Reduce_scatter(in, out, counts, type, op, comm);
}

int MPI_Ireduce_scatter(const void* in, void* out, const int counts[], MPI_Datatype type, MPI_Op op, MPI_Comm comm,
                        MPI_Request* request) {
  count(Collective::reduce_scatter, comm, leaving(counts, comm), type);
  return PMPI_Ireduce_scatter(in, out, counts, type, op, comm, request);
}

int MPI_Alltoall(const void* in, int n, MPI_Datatype type, void* out, int out_n, MPI_Datatype out_type, MPI_Comm comm) {
  count(Collective::all_to_all, comm, (size_of(comm) - 1) * n, type);
  return PMPI_Alltoall(in, n, type, out, out_n, out_type, comm);
}

int MPI_Alltoallv(const void* in, const int counts[], const int offsets[], MPI_Datatype type, void* out,
                  const int out_counts[], const int out_offsets[], MPI_Datatype out_type, MPI_Comm comm) {
  count(Collective::all_to_all, comm, leaving(counts, comm), type);
  return PMPI_Alltoallv(in, counts, offsets, type, out, out_counts, out_offsets, out_type, comm);
}

int MPI_Isend(const void* data, int n, MPI_Datatype type, int to, int tag, MPI_Comm comm, MPI_Request* request) {
  count(Collective::agreement, comm, n, type);
  return PMPI_Isend(data, n, type, to, tag, comm, request);
}

int MPI_Send(const void* data, int n, MPI_Datatype type, int to, int tag, MPI_Comm comm) {
  count(Collective::agreement, comm, n, type);
  return PMPI_Send(data, n, type, to, tag, comm);
}

}  // extern "C"

namespace tartan::testing {

MpiCounter::MpiCounter() : before_{so_far} {}

MpiTraffic MpiCounter::traffic(Collective collective) const {
  const auto slot = static_cast<std::size_t>(collective);
  return {so_far[slot].calls - before_[slot].calls, so_far[slot].bytes - before_[slot].bytes};
}

MpiTraffic MpiCounter::collectives() const {
  MpiTraffic sum;
  for (std::size_t slot = 0; slot < messages_slot; ++slot) {
    const MpiTraffic one = traffic(static_cast<Collective>(slot));
    sum = {sum.calls + one.calls, sum.bytes + one.bytes};
  }
  return sum;
}

MpiTraffic MpiCounter::messages() const { return traffic(Collective::agreement); }

}  // namespace tartan::testing
