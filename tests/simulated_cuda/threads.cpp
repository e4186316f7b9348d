#include <numeric>
#include <vector>

#include "kernels/cuda/device_array.hpp"
#include "kernels/cuda/launch.hpp"
#include "simulated_cuda/death.hpp"
#include "support/catch.hpp"
#include "support/error_text.hpp"

// The threads of the simulated device: what they may do together, and what is found out where they do it wrongly.

namespace {

using namespace tartan;
using namespace tartan::kernels;
using tartan::testing::contains;
using tartan::testing::last_words;

/// A stream, and arrays on its device that are filled from the host and read back.
struct Gpu {
  Gpu() { check_cuda(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "a stream"); }
  ~Gpu() { (void)cudaStreamDestroy(stream); }
  Gpu(const Gpu&) = delete;
  Gpu& operator=(const Gpu&) = delete;

  template <class T>
  DeviceArray<T> array(const std::vector<T>& values) const {
    DeviceArray<T> made(static_cast<Index>(values.size()), stream);
    check_cuda(cudaMemcpyAsync(made.data(), values.data(), made.bytes(), cudaMemcpyDefault, stream), "a copy");
    return made;
  }
  template <class T>
  std::vector<T> read(const DeviceArray<T>& array) const {
    std::vector<T> values(static_cast<std::size_t>(array.size()));
    check_cuda(cudaMemcpyAsync(values.data(), array.data(), array.bytes(), cudaMemcpyDefault, stream), "a copy");
    return values;
  }

  cudaStream_t stream = nullptr;
};

__global__ void sum_warps(const int* x, int* sums) {
  int sum = x[grid_thread()];
  for (int distance = 16; distance > 0; distance /= 2) sum += __shfl_down_sync(0xffffffffU, sum, distance);
  if (threadIdx.x % 32 == 0) sums[grid_thread() / 32] = sum;
}

template <bool with_barriers>
__global__ void scan_block(const int* x, int* out) {
  int* sums = shared_memory<int>();
  const int i = static_cast<int>(threadIdx.x);
  sums[i] = x[i];
  __syncthreads();
  for (int distance = 1; distance < static_cast<int>(blockDim.x); distance *= 2) {
    const int other = i >= distance ? sums[i - distance] : 0;
    if constexpr (with_barriers) __syncthreads();
    sums[i] += other;
    __syncthreads();
  }
  out[i] = sums[i];
}

__global__ void turn_in_warp(const int* x, int* out) {
  __shared__ int values[32];
  values[threadIdx.x] = x[threadIdx.x];
  __syncwarp();
  out[threadIdx.x] = values[31 - threadIdx.x];
}

__global__ void read_unwritten(int* out) {
  __shared__ int values[32];
  if (threadIdx.x > 0) values[threadIdx.x] = 1;
  __syncthreads();
  out[threadIdx.x] = values[threadIdx.x];
}

__global__ void votes(unsigned* out) {
  const int lane = static_cast<int>(threadIdx.x);
  unsigned* row = out + lane * 6;
  row[0] = __ballot_sync(0xffffffffU, lane % 3 == 0);
  row[1] = __match_any_sync(0xffffffffU, lane / 5);
  row[2] = static_cast<unsigned>(__shfl_sync(0xffffffffU, lane, 3, 8));
  row[3] = static_cast<unsigned>(__shfl_up_sync(0xffffffffU, lane, 2, 8));
  row[4] = static_cast<unsigned>(__shfl_xor_sync(0xffffffffU, lane, 5));
  if (lane < 10) row[5] = static_cast<unsigned>(__all_sync(0x3ffU, lane < 10));
}

__global__ void shuffle_by_halves(int* out) {
  int x = static_cast<int>(threadIdx.x);
  if (x < 16) x = __shfl_sync(0xffffffffU, x, 0);
  out[threadIdx.x] = x;
}

__global__ void count_in(int* counter, float* sum) {
  atomicAdd(counter, 1);
  atomicAdd(sum, 0.5F);
}

__global__ void add_carelessly(int* counter, int* seen) {
  const int before = *counter;
  seen[threadIdx.x] = before;
  *counter = before + 1;
}

__global__ void copy_fours(const float* x, float* out) {
  reinterpret_cast<float4*>(out)[threadIdx.x] = reinterpret_cast<const float4*>(x)[threadIdx.x];
}

__global__ void write_at(int* out, Index i) { out[i] = 1; }

__global__ void shuffle_beside_a_barrier(int* out) {
  int x = static_cast<int>(threadIdx.x);
  if (x < 16) {
    x = __shfl_xor_sync(0xffffffffU, x, 1);
  } else {
    __syncthreads();
  }
  out[threadIdx.x] = x;
}

__global__ void shuffle_without_itself(int* out) { out[threadIdx.x] = __shfl_sync(0xffffU, 1, 0); }

__global__ void reach_barrier_by_some(int* out) {
  if (threadIdx.x < 20) {
    __syncthreads();
  } else {
    __syncwarp(0xfff00000U);
    __syncwarp(0xffffffffU);
  }
  out[threadIdx.x] = 1;
}

std::vector<int> counted(int n) {
  std::vector<int> x(static_cast<std::size_t>(n));
  std::iota(x.begin(), x.end(), 1);
  return x;
}

}  // namespace

TEST_CASE("the lanes of a warp add up by shuffles") {
  const Gpu gpu;
  const auto x = gpu.array(counted(256));
  const DeviceArray<int> sums(8, gpu.stream);
  launch(sum_warps, 2, 128, 0, gpu.stream, x.data(), sums.data());
  const auto result = gpu.read(sums);
  for (int w = 0; w < 8; ++w) CHECK(result[static_cast<std::size_t>(w)] == 32 * (32 * w) + 32 * 33 / 2);
}

TEST_CASE("votes, matches and shuffles in groups of lanes") {
  const Gpu gpu;
  const DeviceArray<unsigned> out(32 * 6, gpu.stream);
  check_cuda(cudaMemsetAsync(out.data(), 0, out.bytes(), gpu.stream), "clearing");
  launch(votes, 1, 32, 0, gpu.stream, out.data());
  const auto result = gpu.read(out);
  for (unsigned lane = 0; lane < 32; ++lane) {
    const unsigned* row = result.data() + lane * 6;
    CHECK(row[0] == 0x49249249U);
    CHECK(row[1] == (lane >= 30 ? 0xc0000000U : 0x1fU << (lane / 5 * 5)));
    CHECK(row[2] == lane / 8 * 8 + 3);
    CHECK(row[3] == (lane % 8 < 2 ? lane : lane - 2));
    CHECK(row[4] == (lane ^ 5U));
    CHECK(row[5] == (lane < 10 ? 1U : 0U));
  }
}

TEST_CASE("a block scans in shared memory, with barriers only") {
  const Gpu gpu;
  const auto x = gpu.array(counted(100));
  const DeviceArray<int> out(100, gpu.stream);
  launch(scan_block<true>, 1, 100, 400, gpu.stream, x.data(), out.data());
  const auto result = gpu.read(out);
  for (int i = 0; i < 100; ++i) CHECK(result[static_cast<std::size_t>(i)] == (i + 1) * (i + 2) / 2);

  const auto words = last_words([&] {
    launch(scan_block<false>, 1, 100, 400, gpu.stream, x.data(), out.data());
    (void)gpu.read(out);
  });
  CHECK(contains(words, "scan_block<false>"));
  CHECK(contains(words, "they have not met since"));
}

TEST_CASE("shared memory: a warp meets, unwritten values and values beyond the end are found") {
  const Gpu gpu;
  const auto x = gpu.array(counted(32));
  const DeviceArray<int> out(32, gpu.stream);
  launch(turn_in_warp, 1, 32, 0, gpu.stream, x.data(), out.data());
  CHECK(gpu.read(out)[0] == 32);

  CHECK(contains(last_words([&] {
                   launch(read_unwritten, 1, 32, 0, gpu.stream, out.data());
                   (void)gpu.read(out);
                 }),
                 "reads shared memory that no thread of its block has written"));
  CHECK(contains(last_words([&] {
                   launch(scan_block<true>, 1, 32, 124, gpu.stream, x.data(), out.data());
                   (void)gpu.read(out);
                 }),
                 "uses more than its 124 bytes of dynamic shared memory"));
}

TEST_CASE("threads that wait at different places end with a report, and those that have ended are not waited for") {
  const Gpu gpu;
  const DeviceArray<int> out(32, gpu.stream);
  const auto words = last_words([&] {
    launch(reach_barrier_by_some, 1, 32, 0, gpu.stream, out.data());
    (void)gpu.read(out);
  });
  CHECK(contains(words, "its threads wait for each other for ever"));
  CHECK(contains(words, "warp 0 lane  3 waits in __syncthreads"));
  CHECK(contains(words, "warp 0 lane 25 waits in __syncwarp, mask 0xffffffff"));
  CHECK(contains(last_words([&] {
                   launch(shuffle_beside_a_barrier, 1, 32, 0, gpu.stream, out.data());
                   (void)gpu.read(out);
                 }),
                 "warp 0 lane  3 waits in a shuffle, mask 0xffffffff"));
  CHECK(contains(last_words([&] {
                   launch(shuffle_without_itself, 1, 32, 0, gpu.stream, out.data());
                   (void)gpu.read(out);
                 }),
                 "is not in the mask that it gives"));
  launch(shuffle_by_halves, 1, 32, 0, gpu.stream, out.data());
  CHECK(gpu.read(out)[31] == 31);
}

TEST_CASE("atomic additions count, others lose") {
  const Gpu gpu;
  const auto counters = gpu.array(std::vector<int>{0, 0});
  const auto sum = gpu.array(std::vector<float>{0});
  const DeviceArray<int> seen(200, gpu.stream);
  launch(count_in, 3, 200, 0, gpu.stream, counters.data(), sum.data());
  launch(add_carelessly, 3, 200, 0, gpu.stream, counters.data() + 1, seen.data());
  const auto result = gpu.read(counters);
  CHECK(result[0] == 600);
  CHECK(result[1] < 600);
  CHECK(gpu.read(sum)[0] == 300);
}

TEST_CASE("accesses that are not aligned, or outside of an array, end with a report") {
  const Gpu gpu;
  const auto x = gpu.array(std::vector<float>(20, 1));
  const DeviceArray<float> out(20, gpu.stream);
  launch(copy_fours, 1, 4, 0, gpu.stream, x.data() + 4, out.data());
  CHECK(gpu.read(out)[15] == 1);
  CHECK(contains(last_words([&] {
                   launch(copy_fours, 1, 4, 0, gpu.stream, x.data() + 2, out.data());
                   (void)gpu.read(out);
                 }),
                 "misaligned address"));

  const DeviceArray<int> ints(10, gpu.stream);
  const auto write = [&](int* to, Index i) {
    return last_words([&] {
      launch(write_at, 1, 1, 0, gpu.stream, to, i);
      (void)gpu.read(ints);
    });
  };
  CHECK(write(ints.data(), 9) == "alive");
  CHECK(contains(write(ints.data(), 10), "write_at"));
  CHECK(contains(write(ints.data(), 10), "writes byte 40 of 40"));
  CHECK(contains(write(ints.data(), Index{1} << 33), "writes memory"));
  std::vector<int> host(1);
  CHECK(contains(write(host.data(), 0), "writes memory of the host that is not page-locked"));
}
