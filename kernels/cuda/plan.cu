#include <cub/cub.cuh>

#include <algorithm>
#include <bit>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/element_types.hpp"
#include "device/cuda_runtime.hpp"
#include "kernels/cuda/device_array.hpp"
#include "kernels/cuda/launch.hpp"
#include "kernels/cuda/plan_arrays.hpp"
#include "kernels/cuda/plan_layout.hpp"
#include "kernels/cuda/row_hit.hpp"
#include "kernels/cuda/sizes_on_host.hpp"
#include "kernels/cuda/sorted_hits.hpp"
#include "kernels/rows.hpp"

namespace tartan::kernels {

using namespace plan_layout;

struct CudaRowPlan::State {
  State(PlanView seen, DeviceArray<std::byte> block, cudaStream_t maker, Index workspace)
      : view{seen},
        memory{std::move(block)},
        stream{maker},
        workspace_bytes{workspace},
        sizes(view.arrays.sizes, maker) {}
  ~State() {
    int before = 0;
    if (users.empty() || cudaGetDevice(&before) != cudaSuccess) return;
    (void)cudaSetDevice(sizes.device());
    for (const auto user : users) (void)device::order_streams(user, stream);
    (void)cudaSetDevice(before);
  }
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  PlanView view;
  DeviceArray<std::byte> memory;
  cudaStream_t stream;  ///< that made the arrays, and will free them
  Index workspace_bytes;
  SizesOnHost sizes;
  mutable std::mutex mutex;
  mutable std::vector<cudaStream_t> users;  ///< other streams, which wait for the first
};

namespace {

template <class Word, class I>
__global__ void name_hits(const I* ids, Index count, Index first_row, Index rows, Index padding, Word* keys,
                          Word* positions) {
  for (Index i = grid_thread(); i < count; i += grid_threads()) {
    keys[i] = static_cast<Word>(row_hit(ids[i], first_row, rows, padding));
    positions[i] = static_cast<Word>(i);
  }
}

constexpr int tile_threads = 512;

template <class Word>
__global__ void measure_tiles(const Word* keys, Index count, Index rows, Span* tiles) {
  __shared__ Span warps[tile_threads / 32];
  const Index begin = Index{blockIdx.x} << tile_bits;
  const auto key = [=](Index i) { return static_cast<Index>(keys[i]); };
  const Span all = measure_block(key, rows, begin, min(begin + tile, count), warps).all;
  if (threadIdx.x == 0) tiles[blockIdx.x] = all;
}

constexpr int scan_threads = 256;

/// Replaces each tile by all before it; one block.
__global__ void scan_tiles(Span* tiles, Index count, PlanArrays plan) {
  __shared__ Span sums[2][scan_threads];
  const Index share = (count + scan_threads - 1) / scan_threads;
  const Index begin = min(count, threadIdx.x * share), end = min(count, begin + share);
  Span sum{};
  for (Index i = begin; i < end; ++i) sum = joined(sum, tiles[i]);
  int now = 0;
  sums[now][threadIdx.x] = sum;
  __syncthreads();
  for (int distance = 1; distance < scan_threads; distance *= 2, now = 1 - now) {
    const Span own = sums[now][threadIdx.x];
    const int left = static_cast<int>(threadIdx.x) - distance;
    sums[1 - now][threadIdx.x] = left < 0 ? own : joined(sums[now][left], own);
    __syncthreads();
  }
  Span before = threadIdx.x == 0 ? Span{} : sums[now][threadIdx.x - 1];
  for (Index i = begin; i < end; ++i) {
    const Span tile = tiles[i];
    tiles[i] = before;
    before = joined(before, tile);
  }
  if (threadIdx.x == scan_threads - 1) close_plan(sums[now][scan_threads - 1], plan);
}

template <class Word>
__global__ void write_tiles(const Word* keys, const Word* positions, Index count, Index rows, const Span* before,
                            PlanArrays plan) {
  __shared__ Span warps[tile_threads / 32];
  const Index begin = Index{blockIdx.x} << tile_bits, end = min(begin + tile, count);
  const auto key = [=](Index i) { return static_cast<Index>(keys[i]); };
  const auto position = [=](Index i) { return static_cast<Index>(positions[i]); };
  const Span measured = measure_block(key, rows, begin, end, warps).before_warp;
  write_block(key, position, rows, begin, end, count, joined(before[blockIdx.x], measured), plan);
}

constexpr int most_sort_threads = 1024;

/// The whole plan of at most a tile of ids, by one block: hits are numbers row · 2^12 + position, sorted by a bitonic
/// network of Batcher's. `size` is a power of two, at least 64 and `count`.
template <class I>
__global__ void __launch_bounds__(most_sort_threads)
    plan_in_block(const I* ids, int count, int size, Index first_row, Index rows, Index padding, PlanArrays plan,
                  std::uint32_t* positions) {
  __shared__ std::uint64_t hits[tile];
  __shared__ Span warps[most_sort_threads / 32];
  const int thread = static_cast<int>(threadIdx.x), threads = static_cast<int>(blockDim.x);
  for (int i = thread; i < size; i += threads) {
    const Index row = i < count ? row_hit(ids[i], first_row, rows, padding) : rows;
    hits[i] = static_cast<std::uint64_t>(row) << tile_bits | static_cast<std::uint64_t>(i);
  }
  __syncthreads();
  for (int sorted = 2; sorted <= size; sorted *= 2) {
    for (int distance = sorted / 2; distance > 0; distance /= 2) {
      for (int pair = thread; pair < size / 2; pair += threads) {
        const int low = (pair & ~(distance - 1)) * 2 + (pair & (distance - 1)), high = low + distance;
        const std::uint64_t a = hits[low], b = hits[high];
        if ((a > b) == ((low & sorted) == 0)) {
          hits[low] = b;
          hits[high] = a;
        }
      }
      // 32 pairs less than 64 apart are a warp's own.
      if (distance > 32 || (distance == 1 && sorted >= 64)) {
        __syncthreads();
      } else {
        __syncwarp();
      }
    }
  }
  const auto key = [&](Index i) { return static_cast<Index>(hits[i] >> tile_bits); };
  const auto position = [&](Index i) { return static_cast<Index>(hits[i] & (tile - 1)); };
  const auto measured = measure_block(key, rows, Index{0}, Index{count}, warps);
  if (threadIdx.x == 0) close_plan(measured.all, plan);
  __syncthreads();
  write_block(key, position, rows, Index{0}, Index{count}, Index{count}, measured.before_warp, plan);
  for (int i = thread; i < count; i += threads) {
    positions[i] = static_cast<std::uint32_t>(position(i));
  }
}

/// Tartan's own stream on the current device for plans that are made beside other work.
cudaStream_t side_stream() {
  static std::mutex mutex;
  static auto& streams = *new std::map<int, cudaStream_t>;
  int device = 0;
  check_cuda(cudaGetDevice(&device), "asking for the current device");
  const std::lock_guard lock(mutex);
  auto& stream = streams[device];
  if (stream == nullptr) {
    check_cuda(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "making a stream");
  }
  return stream;
}

template <class T>
T* at(const DeviceArray<std::byte>& memory, Index offset) {
  return reinterpret_cast<T*>(memory.data() + offset);
}

/// The memory of a plan, and where its arrays lie. Word: of the positions.
template <class Word>
struct PlanMemory {
  PlanMemory(Index count, Index rows, cudaStream_t stream)
      : layout{held(count, rows, sizeof(PlanSizes), sizeof(Chunk), sizeof(Word))}, block(layout.total, stream) {}

  Word* positions() const { return at<Word>(block, layout.positions); }
  PlanArrays arrays() const {
    PlanArrays arrays{.sizes = at<PlanSizes>(block, layout.sizes),
                      .rows = at<Index>(block, layout.rows),
                      .offsets = at<Index>(block, layout.offsets),
                      .chunks = at<Chunk>(block, layout.chunks),
                      .groups = at<Index>(block, layout.groups),
                      .positions = {nullptr, nullptr}};
    if constexpr (sizeof(Word) == 4) {
      arrays.positions.narrow = positions();
    } else {
      arrays.positions.wide = positions();
    }
    return arrays;
  }

  Held layout;
  DeviceArray<std::byte> block;
};

PlanView view(const PlanArrays& arrays, Index count, Index rows) {
  return {.arrays = arrays,
          .count = count,
          .most_distinct = most_distinct(count, rows),
          .most_chunks = most_chunks(count, rows)};
}

template <class I>
CudaRowPlan plan_by_block(cudaStream_t stream, const I* ids, Index count, Index first_row, Index rows, Index padding) {
  PlanMemory<std::uint32_t> memory(count, rows, stream);
  const auto arrays = memory.arrays();
  const int size = std::max(64, static_cast<int>(std::bit_ceil(static_cast<std::uint64_t>(count))));
  launch(plan_in_block<I>, 1, std::min(size / 2, most_sort_threads), 0, stream, ids, static_cast<int>(count), size,
         first_row, rows, padding, arrays, memory.positions());
  return CudaRowPlan(
      std::make_shared<CudaRowPlan::State>(view(arrays, count, rows), std::move(memory.block), stream, Index{0}));
}

/// The ids are read on `caller`, so that they are the caller's again in its order; the rest is enqueued on `maker`.
template <class Word, class I>
CudaRowPlan plan_by_radix(cudaStream_t caller, cudaStream_t maker, const I* ids, Index count, Index first_row,
                          Index rows, Index padding) {
  // CUB counts up to 2^31 in 32 bits.
  using Count = std::conditional_t<sizeof(Word) == 4, std::int32_t, std::int64_t>;
  const auto sort = [&](void* memory, std::size_t& bytes, const Word* keys, Word* sorted_keys, const Word* positions,
                        Word* sorted_positions) {
    check_cuda(cub::DeviceRadixSort::SortPairs(memory, bytes, keys, sorted_keys, positions, sorted_positions,
                                               static_cast<Count>(count), 0, key_bits(rows), maker),
               "sorting hits");
  };
  std::size_t sort_bytes = 0;
  sort(nullptr, sort_bytes, nullptr, nullptr, nullptr, nullptr);
  const auto layout = workspace(count, sizeof(Word), sizeof(Span), static_cast<Index>(sort_bytes));

  PlanMemory<Word> memory(count, rows, caller);
  DeviceArray<std::byte> space(layout.total, caller);
  auto* const keys = at<Word>(space, layout.keys);
  auto* const positions = at<Word>(space, layout.positions);
  auto* const sorted_keys = at<Word>(space, layout.sorted_keys);
  auto* const tiles = at<Span>(space, layout.tiles);
  launch(name_hits<Word, I>, grid_for(count, 256), 256, 0, caller, ids, count, first_row, rows, padding, keys,
         positions);
  if (maker != caller) {
    check_cuda(device::order_streams(caller, maker), "ordering streams");
    memory.block.free_on(maker);
    space.free_on(maker);
  }

  const auto arrays = memory.arrays();
  const auto blocks = static_cast<unsigned>(plan_layout::tiles(count));
  sort(at<std::byte>(space, layout.sort), sort_bytes, keys, sorted_keys, positions, memory.positions());
  launch(measure_tiles<Word>, blocks, tile_threads, 0, maker, sorted_keys, count, rows, tiles);
  launch(scan_tiles, 1, scan_threads, 0, maker, tiles, Index{blocks}, arrays);
  launch(write_tiles<Word>, blocks, tile_threads, 0, maker, sorted_keys, memory.positions(), count, rows, tiles,
         arrays);
  return CudaRowPlan(
      std::make_shared<CudaRowPlan::State>(view(arrays, count, rows), std::move(memory.block), maker, layout.total));
}

template <class I>
CudaRowPlan make_plan(cudaStream_t caller, bool aside, const I* ids, Index count, Index first_row, Index rows,
                      Index padding) {
  const auto maker = [=] { return aside ? side_stream() : caller; };
  switch (path_of(count, rows)) {
    case Path::none:
      break;
    case Path::block:
      return plan_by_block(caller, ids, count, first_row, rows, padding);
    case Path::narrow:
      return plan_by_radix<std::uint32_t>(caller, maker(), ids, count, first_row, rows, padding);
    case Path::wide:
      return plan_by_radix<std::uint64_t>(caller, maker(), ids, count, first_row, rows, padding);
  }
  return {};
}

}  // namespace

template <class I>
CudaRowPlan plan_rows(Cuda where, const I* ids, Index count, Index first_row, Index rows, Index padding) {
  return make_plan(where.stream, false, ids, count, first_row, rows, padding);
}

template <class I>
CudaRowPlan plan_rows_aside(Cuda where, const I* ids, Index count, Index first_row, Index rows, Index padding) {
  return make_plan(where.stream, true, ids, count, first_row, rows, padding);
}

Index CudaRowPlan::distinct() const { return state_ == nullptr ? 0 : state_->sizes.wait().distinct; }

Index CudaRowPlan::hits() const { return state_ == nullptr ? 0 : state_->sizes.wait().hits; }

const Index* CudaRowPlan::rows(Cuda where) const { return use(*this, where.stream).arrays.rows; }

std::vector<Index> CudaRowPlan::rows_on_host() const {
  std::vector<Index> rows(static_cast<std::size_t>(distinct()));
  if (rows.empty()) return rows;
  const auto stream = side_stream();
  const auto* const source = use(*this, stream).arrays.rows;
  check_cuda(cudaMemcpyAsync(rows.data(), source, rows.size() * sizeof(Index), cudaMemcpyDeviceToHost, stream),
             "copying rows to the host");
  check_cuda(cudaStreamSynchronize(stream), "copying rows to the host");
  return rows;
}

Index CudaRowPlan::held_bytes() const { return state_ == nullptr ? 0 : static_cast<Index>(state_->memory.bytes()); }

Index CudaRowPlan::workspace_bytes() const { return state_ == nullptr ? 0 : state_->workspace_bytes; }

PlanView use(const CudaRowPlan& plan, cudaStream_t stream) {
  const auto* const state = plan.state();
  if (state == nullptr) return {};
  if (stream != state->stream) {
    const std::lock_guard lock(state->mutex);
    auto& users = state->users;
    if (std::find(users.begin(), users.end(), stream) == users.end()) {
      state->sizes.order_before(stream);
      users.push_back(stream);
    }
  }
  return state->view;
}

#define TARTAN_INSTANTIATE(I)                                                 \
  template CudaRowPlan plan_rows(Cuda, const I*, Index, Index, Index, Index); \
  template CudaRowPlan plan_rows_aside(Cuda, const I*, Index, Index, Index, Index);
TARTAN_FOR_EACH_ID_TYPE(TARTAN_INSTANTIATE)
#undef TARTAN_INSTANTIATE

}  // namespace tartan::kernels
