#include <cublas_v2.h>
#include <mpi.h>
#include <cub/cub.cuh>

#include <cstdlib>
#include <vector>

#include "kernels/cuda/device_array.hpp"
#include "kernels/cuda/launch.hpp"
#include "simulated_cuda/death.hpp"
#include "support/catch.hpp"
#include "support/error_text.hpp"

// The runtime of the simulated device: streams, events, memory and errors.

namespace {

using namespace tartan;
using namespace tartan::kernels;
using tartan::testing::contains;
using tartan::testing::error_text;
using tartan::testing::last_words;

struct Stream {
  Stream() { check_cuda(cudaStreamCreateWithFlags(&handle, cudaStreamNonBlocking), "a stream"); }
  ~Stream() { (void)cudaStreamDestroy(handle); }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  operator cudaStream_t() const { return handle; }
  cudaStream_t handle = nullptr;
};

struct Event {
  Event() { check_cuda(cudaEventCreateWithFlags(&handle, cudaEventDisableTiming), "an event"); }
  ~Event() { (void)cudaEventDestroy(handle); }
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  operator cudaEvent_t() const { return handle; }
  cudaEvent_t handle = nullptr;
};

struct Pinned {
  explicit Pinned(std::size_t n) { check_cuda(cudaMallocHost(&data, n * sizeof(int)), "page-locked memory"); }
  ~Pinned() { (void)cudaFreeHost(data); }
  Pinned(const Pinned&) = delete;
  Pinned& operator=(const Pinned&) = delete;
  int* data = nullptr;
};

__global__ void put(int* x, int value) { *x = value; }
__global__ void triple(const int* x, int* out) { *out = 3 * *x; }

int value_of(const int* device, cudaStream_t stream) {
  int value = 0;
  check_cuda(cudaMemcpyAsync(&value, device, sizeof(int), cudaMemcpyDeviceToHost, stream), "a copy");
  return value;
}

}  // namespace

TEST_CASE("what is enqueued runs when somebody waits for it") {
  const Stream stream;
  const Event event;
  const Pinned host(1);
  const DeviceArray<int> x(1, stream);
  *host.data = 7;
  launch(put, 1, 1, 0, stream, x.data(), 5);
  check_cuda(cudaMemcpyAsync(host.data, x.data(), sizeof(int), cudaMemcpyDefault, stream), "a copy");
  check_cuda(cudaEventRecord(event, stream), "an event");
  CHECK(*host.data == 7);
  CHECK(cudaEventQuery(event) == cudaErrorNotReady);
  CHECK(cudaPeekAtLastError() == cudaSuccess);
  SECTION("for its stream") { check_cuda(cudaStreamSynchronize(stream), "waiting"); }
  SECTION("for an event") { check_cuda(cudaEventSynchronize(event), "waiting"); }
  SECTION("for the device") { check_cuda(cudaDeviceSynchronize(), "waiting"); }
  SECTION("by asking again") {
    int asked = 0;
    while (cudaEventQuery(event) == cudaErrorNotReady) ++asked;
    CHECK(asked > 0);
  }
  CHECK(*host.data == 5);
  CHECK(cudaEventQuery(event) == cudaSuccess);
}

TEST_CASE("copies read page-locked memory when they run and other memory at once") {
  const Stream stream;
  const Pinned locked(1);
  int other = 1;
  *locked.data = 1;
  const DeviceArray<int> x(2, stream);
  check_cuda(cudaMemcpyAsync(x.data(), locked.data, sizeof(int), cudaMemcpyDefault, stream), "a copy");
  check_cuda(cudaMemcpyAsync(x.data() + 1, &other, sizeof(int), cudaMemcpyDefault, stream), "a copy");
  *locked.data = 2;
  other = 2;
  CHECK(value_of(x.data(), stream) == 2);
  CHECK(value_of(x.data() + 1, stream) == 1);
}

TEST_CASE("events order streams, and nothing else does") {
  int in_order = 0;
  constexpr int rounds = 16;
  for (int i = 0; i < rounds; ++i) {
    const Stream first;
    const Stream second;
    const Event written;
    const DeviceArray<int> x(2, first);
    check_cuda(cudaMemsetAsync(x.data(), 0, x.bytes(), first), "clearing");
    check_cuda(cudaStreamSynchronize(first), "waiting");
    launch(put, 1, 1, 0, first, x.data(), 5);
    check_cuda(cudaEventRecord(written, first), "an event");
    SECTION("ordered") {}
    if (i % 2 == 0) {
      check_cuda(cudaStreamWaitEvent(second, written, 0), "an order");
      launch(triple, 1, 1, 0, second, x.data(), x.data() + 1);
      CHECK(value_of(x.data() + 1, second) == 15);
    } else {
      launch(triple, 1, 1, 0, second, x.data(), x.data() + 1);
      check_cuda(cudaStreamSynchronize(second), "waiting");
      in_order += value_of(x.data() + 1, second) == 15 ? 1 : 0;
    }
  }
  CHECK(in_order < rounds / 2);
}

TEST_CASE("memory is used in the order of its stream") {
  const Stream stream;
  const Stream other;
  auto words = last_words([&] {
    const DeviceArray<int> x(1, stream);  // its turn on `stream` has not come
    launch(put, 1, 1, 0, other, x.data(), 1);
    (void)cudaStreamSynchronize(other);
    launch(put, 1, 1, 0, other, x.data(), 1);
    (void)cudaStreamSynchronize(other);
    const DeviceArray<int> y(1, stream);
    launch(put, 1, 1, 0, other, y.data(), 1);
    (void)cudaStreamSynchronize(other);
    const DeviceArray<int> z(1, stream);
    launch(put, 1, 1, 0, other, z.data(), 1);
    (void)cudaStreamSynchronize(other);
  });
  CHECK(contains(words, "writes memory before its allocation has its turn on its stream"));
  words = last_words([&] {
    int* kept = nullptr;
    {
      const DeviceArray<int> x(1, stream);
      kept = x.data();
      launch(put, 1, 1, 0, stream, kept, 1);  // before the free
    }
    launch(put, 1, 1, 0, stream, kept, 1);
    (void)cudaStreamSynchronize(stream);
  });
  CHECK(contains(words, "writes memory that has been freed"));
}

TEST_CASE("the host may not touch a device's memory, but a test program may look after all") {
  const Stream stream;
  const DeviceArray<int> x(1, stream);
  launch(put, 1, 1, 0, stream, x.data(), 11);
  const auto look = [&](const char* rule, int* at = nullptr, bool by_library = false) {
    return last_words([&] {
      setenv("TARTAN_SIMULATED_CUDA_HOST_READS", rule, 1);
      if (by_library) _exit(MPI_Reduce_local(at, at, 1, MPI_INT, MPI_SUM) == MPI_SUCCESS ? 0 : 1);
      _exit(*static_cast<volatile int*>(x.data()) == 11 ? 0 : 1);
    });
  };
  CHECK(contains(look("none"), "host access to device memory"));
  CHECK(look("program") == "alive");
  CHECK(look("all") == "alive");
  int* shareable = nullptr;
  REQUIRE(cudaMalloc(&shareable, sizeof(int)) == cudaSuccess);
  for (const char* rule : {"none", "program"})
    CHECK(contains(look(rule, shareable, true), "host access to device memory"));
  CHECK(look("shareable") == "alive");
  CHECK(look("shareable", shareable, true) == "alive");
  CHECK(contains(look("shareable", x.data(), true), "host access to device memory"));
  CHECK(look("all", x.data(), true) == "alive");
  CHECK(cudaFree(shareable) == cudaSuccess);
}

TEST_CASE("errors have the codes of the runtime") {
  const Stream stream;
  const DeviceArray<int> x(1, stream);
  CHECK(cudaSetDevice(2) == cudaErrorInvalidDevice);
  CHECK(cudaGetLastError() == cudaErrorInvalidDevice);
  CHECK(cudaGetLastError() == cudaSuccess);
  CHECK(contains(error_text([&] { launch(put, 1, 1025, 0, stream, x.data(), 1); }), "cudaErrorInvalidConfiguration"));
  CHECK(contains(error_text([&] { launch(put, 1, 32, 228 * 1024, stream, x.data(), 1); }), "cudaErrorInvalidValue"));
  CHECK(error_text([&] { launch(put, 1, 32, 100 * 1024, stream, x.data(), 1); }) == "no error");
  CHECK(error_text([&] { launch(put, 0, 32, 0, stream, x.data(), 1); }) == "no error");
  void* memory = nullptr;
  CHECK(cudaMallocAsync(&memory, std::size_t{1} << 40, stream) == cudaErrorMemoryAllocation);
  CHECK(cudaFreeAsync(x.data() + 1, stream) == cudaErrorInvalidValue);
  cudaStream_t gone = nullptr;
  check_cuda(cudaStreamCreate(&gone), "a stream");
  check_cuda(cudaStreamDestroy(gone), "a stream");
  CHECK(cudaStreamSynchronize(gone) == cudaErrorInvalidResourceHandle);
  check_cuda(cudaSetDevice(1), "the second device");
  CHECK(contains(error_text([&] { launch(put, 1, 1, 0, stream, x.data(), 1); }), "cudaErrorInvalidResourceHandle"));
  check_cuda(cudaSetDevice(0), "the first device");
  (void)cudaGetLastError();
}

TEST_CASE("memory that was freed can be had again") {
  const Stream stream;
  for (int i = 0; i < 20; ++i) {
    const DeviceArray<char> x(Index{3} << 30,
                              stream);  // three of the four GiB there are, and the free is only enqueued
    CHECK(x.data() != nullptr);
  }
}

TEST_CASE("CUB's sort is stable and looks at the bits it is told to") {
  const Stream stream;
  const std::vector<int> keys{5, 1, 4, 1, 20, 5};
  const std::vector<long long> values{0, 1, 2, 3, 4, 5};
  const DeviceArray<int> in(6, stream);
  const DeviceArray<int> out(6, stream);
  const DeviceArray<long long> values_in(6, stream);
  const DeviceArray<long long> values_out(6, stream);
  check_cuda(cudaMemcpyAsync(in.data(), keys.data(), in.bytes(), cudaMemcpyDefault, stream), "a copy");
  check_cuda(cudaMemcpyAsync(values_in.data(), values.data(), values_in.bytes(), cudaMemcpyDefault, stream), "a copy");
  std::size_t bytes = 0;
  const auto sort = [&](void* storage) {
    check_cuda(cub::DeviceRadixSort::SortPairs(storage, bytes, in.data(), out.data(), values_in.data(),
                                               values_out.data(), 6, 0, 3, stream),
               "sorting");
  };
  sort(nullptr);
  const DeviceArray<char> storage(static_cast<Index>(bytes), stream);
  sort(storage.data());
  std::vector<long long> order(6);
  check_cuda(cudaMemcpyAsync(order.data(), values_out.data(), values_out.bytes(), cudaMemcpyDefault, stream), "a copy");
  CHECK(order == std::vector<long long>{1, 3, 2, 4, 0, 5});  // 20 counts as 4
}

TEST_CASE("cuBLAS multiplies by columns") {
  const Stream stream;
  const std::vector<double> a{1, 2, 3, 4, 5, 6};  // 2 x 3
  const std::vector<double> b{1, 0, 2, 0, 1, 3};  // 3 x 2, or 2 x 3 turned
  const DeviceArray<double> da(6, stream);
  const DeviceArray<double> db(6, stream);
  const DeviceArray<double> dc(4, stream);
  check_cuda(cudaMemcpyAsync(da.data(), a.data(), da.bytes(), cudaMemcpyDefault, stream), "a copy");
  check_cuda(cudaMemcpyAsync(db.data(), b.data(), db.bytes(), cudaMemcpyDefault, stream), "a copy");
  cublasHandle_t handle = nullptr;
  REQUIRE(cublasCreate(&handle) == CUBLAS_STATUS_SUCCESS);
  REQUIRE(cublasSetStream(handle, stream) == CUBLAS_STATUS_SUCCESS);
  const double one = 1;
  const double zero = 0;
  const auto multiply = [&](cublasOperation_t turn, int stride) {
    REQUIRE(cublasGemmEx(handle, CUBLAS_OP_N, turn, 2, 2, 3, &one, da.data(), CUDA_R_64F, 2, db.data(), CUDA_R_64F,
                         stride, &zero, dc.data(), CUDA_R_64F, 2, CUBLAS_COMPUTE_64F,
                         CUBLAS_GEMM_DEFAULT) == CUBLAS_STATUS_SUCCESS);
    std::vector<double> c(4);
    check_cuda(cudaMemcpyAsync(c.data(), dc.data(), dc.bytes(), cudaMemcpyDefault, stream), "a copy");
    return c;
  };
  CHECK(multiply(CUBLAS_OP_N, 3) == std::vector<double>{11, 14, 18, 22});
  CHECK(multiply(CUBLAS_OP_T, 2) == std::vector<double>{12, 16, 15, 18});
  CHECK(cublasDestroy(handle) == CUBLAS_STATUS_SUCCESS);
}
