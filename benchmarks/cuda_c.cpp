// The row kernels on the current CUDA device behind a C interface, for benchmarks/cuda_peers.py: whole tables, ids of
// 64 bits, a caller's stream. Nothing waits for the device.
#include <cstdint>
#include <type_traits>

#include <tartan/base/half_types.hpp>

#include "kernels/bags.hpp"
#include "kernels/elementwise.hpp"
#include "kernels/rows.hpp"

namespace {

using namespace tartan;
using namespace tartan::kernels;

template <class T>
Matrix<T> matrix(std::type_identity_t<T>* data, Index rows, Index columns) {
  return {data, rows, columns, columns};
}

}  // namespace

extern "C" {

#define TARTAN_DEFINE(NAME, T)                                                                                       \
  void tartan_gather_##NAME(CUstream_st* stream, const T* table, Index rows, Index columns, const std::int64_t* ids, \
                            Index count, T* out) {                                                                   \
    gather_rows(Cuda{stream}, matrix<const T>(table, rows, columns), 0, ids, matrix<T>(out, count, columns));        \
  }                                                                                                                  \
  void tartan_accumulate_##NAME(CUstream_st* stream, T* table, Index rows, Index columns, const std::int64_t* ids,   \
                                Index count, const T* terms) {                                                       \
    const Cuda where{stream};                                                                                        \
    accumulate_rows(where, plan_rows(where, ids, count, 0, rows, Index{-1}), matrix<const T>(terms, count, columns), \
                    matrix<T>(table, rows, columns));                                                                \
  }                                                                                                                  \
  void tartan_dense_##NAME(CUstream_st* stream, T* gradient, Index rows, Index columns, const std::int64_t* ids,     \
                           Index count, const T* terms) {                                                            \
    fill(Cuda{stream}, gradient, rows* columns, static_cast<T>(-0.0F));                                              \
    tartan_accumulate_##NAME(stream, gradient, rows, columns, ids, count, terms);                                    \
  }                                                                                                                  \
  void tartan_bags_##NAME(CUstream_st* stream, const T* table, Index rows, Index columns, const std::int64_t* ids,   \
                          const Index* offsets, Index bags, T* out) {                                                \
    sum_bags(Cuda{stream}, matrix<const T>(table, rows, columns), 0, ids, offsets, nullptr, nullptr, Index{-1},      \
             matrix<T>(out, bags, columns));                                                                         \
  }
TARTAN_DEFINE(float, float)
TARTAN_DEFINE(bfloat16, bfloat16)
#undef TARTAN_DEFINE

}  // extern "C"
