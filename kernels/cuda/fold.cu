#include <algorithm>
#include <cmath>

#include "base/element_types.hpp"
#include "kernels/cuda/device_array.hpp"
#include "kernels/cuda/folder.hpp"
#include "kernels/cuda/launch.hpp"
#include "kernels/row_updates.hpp"

namespace tartan::kernels {
namespace {

using namespace plan_layout;

constexpr int threads = 128;
/// Blocks of fold_chunks that a processor has registers for: a lane has twice as many elements of the types of 16 bits.
template <class T>
constexpr int resident_blocks = per_lane<T> > 4 ? 3 : 5;

/// Groups of lanes take the chunks in turn; blockIdx.y is the tile of columns.
template <class T, bool aligned>
__global__ void __launch_bounds__(threads, resident_blocks<T>)
    fold_chunks(PlanArrays plan, Contributions<T> contributions, RowUpdate<T> update, Meeting<T> meeting, int lane_bits,
                Index tiles) {
  const Lanes lanes(lane_bits);
  const Index chunks = plan.sizes->chunks;
  const Index groups = grid_threads() >> lane_bits;
  for (Index tile = blockIdx.y; tile < tiles; tile += gridDim.y) {
    const Folder<T, aligned> folder{
        plan,  contributions, update, meeting,
        lanes, tile,          tiles,  LaneColumns<T, aligned>(lanes, tile, update.out.columns)};
    const auto work = [&](Index c) { return Work(plan, chunks, c, update.rule); };
    Index c = grid_thread() >> lane_bits;
    Work now = work(c), coming = work(c + groups);
    auto begun = folder.begin(now);
    for (; c < chunks; c += groups) {
      const auto next = folder.begin(coming);
      const Work later = work(c + 2 * groups);
      folder.finish(now, begun);
      now = coming;
      coming = later;
      begun = next;
    }
  }
}

/// Groups of lanes take the groups of chunks of rows that have several, when fold_chunks() is done.
template <class T, bool aligned>
__global__ void meet_chunks(PlanArrays plan, Contributions<T> contributions, RowUpdate<T> update, Meeting<T> meeting,
                            int lane_bits, Index tiles) {
  const Lanes lanes(lane_bits);
  const auto groups = static_cast<Index>(plan.sizes->groups);
  for (Index tile = blockIdx.y; tile < tiles; tile += gridDim.y) {
    const Folder<T, aligned> folder{
        plan,  contributions, update, meeting,
        lanes, tile,          tiles,  LaneColumns<T, aligned>(lanes, tile, update.out.columns)};
    for (Index i = grid_thread() >> lane_bits; i < groups; i += grid_threads() >> lane_bits) {
      folder.meet(plan.groups[i]);
    }
  }
}

/// The step of rows that a group cannot hold, on sums of theirs in memory; a warp to a row.
template <class T>
__global__ void step_rowwise(PlanArrays plan, Matrix<const T> sums, RowUpdate<T> update) {
  using A = Accumulator<T>;
  const Index lane = threadIdx.x % 32;
  const Index columns = sums.columns, distinct = plan.sizes->distinct;
  const auto add = [](double a, double b) { return a + b; };
  for (Index u = grid_thread() / 32; u < distinct; u += grid_threads() / 32) {
    const T* const sum = sums.data + u * sums.stride;
    const double squares = row_sum(
        columns,
        [&](Index c) {
          const auto g = static_cast<double>(sum[c]);
          return g * g;
        },
        add, 0.0);
    const Index row = plan.rows[u];
    A& state = update.state.data[row * update.state.stride];
    const A total = state + static_cast<A>(squares / static_cast<double>(columns));
    __syncwarp();
    if (lane == 0) state = total;
    const A rate = update.rate / (std::sqrt(total) + update.epsilon);
    T* const out = update.out.data + row * update.out.stride;
    for (Index c = lane; c < columns; c += 32) {
      out[c] = static_cast<T>(static_cast<A>(out[c]) - rate * static_cast<A>(sum[c]));
    }
  }
}

}  // namespace

template <class T>
void fold(Cuda where, const CudaRowPlan& plan, const Contributions<T>& contributions, const RowUpdate<T>& update) {
  const auto view = use(plan, where.stream);
  const Index columns = update.out.columns;
  if (view.count == 0 || columns == 0) return;
  const Index tiles = column_tiles(columns, per_lane<T>);
  if (update.rule == Rule::rowwise_adagrad && tiles > 1) {
    const DeviceArray<T> memory(view.most_distinct * columns, where.stream);
    const Matrix<T> sums{memory.data(), view.most_distinct, columns, columns};
    fold(where, plan, contributions, {.rule = Rule::store, .out = sums});
    launch(step_rowwise<T>, grid_for(view.most_distinct * 32, threads), threads, 0, where.stream, view.arrays,
           Matrix<const T>{sums.data, sums.rows, columns, columns}, update);
    return;
  }

  const int bits = lane_bits(columns, per_lane<T>);
  const Index meetings = slots(view.count) * tiles;
  const DeviceArray<Sums<T>> partials(meetings << bits, where.stream);
  const DeviceArray<unsigned> arrivals(meetings, where.stream);
  const auto grid = [&](Index groups) {
    const Index blocks = std::min(((groups << bits) + threads - 1) / threads, processors().count * resident_blocks<T>);
    return dim3(static_cast<unsigned>(blocks), static_cast<unsigned>(std::min<Index>(tiles, 65'535)));
  };
  const std::size_t shared = update.rule == Rule::rowwise_adagrad ? threads * per_lane<T> * sizeof(double) : 0;
  const bool aligned = rows_aligned(contributions.rows) && rows_aligned(update.out);
  const Meeting<T> meeting{partials.data(), arrivals.data()};
  launch(aligned ? fold_chunks<T, true> : fold_chunks<T, false>, grid(view.most_chunks), threads, shared, where.stream,
         view.arrays, contributions, update, meeting, bits, tiles);
  if (meetings == 0) return;
  check_cuda(cudaMemsetAsync(arrivals.data(), 0, arrivals.bytes(), where.stream), "clearing workspace");
  launch(aligned ? meet_chunks<T, true> : meet_chunks<T, false>, grid(most_groups(view.count)), threads, shared,
         where.stream, view.arrays, contributions, update, meeting, bits, tiles);
}

template <class T>
void fold_rows(Cuda where, const CudaRowPlan& plan, std::type_identity_t<Contributions<T>> contributions,
               Matrix<T> out) {
  fold<T>(where, plan, contributions, {.rule = Rule::store, .out = out});
}

template <class T>
void accumulate_rows(Cuda where, const CudaRowPlan& plan, std::type_identity_t<Contributions<T>> contributions,
                     Matrix<T> table) {
  fold<T>(where, plan, contributions, {.rule = Rule::add, .out = table});
}

template <class T>
void sgd_rows(Cuda where, const CudaRowPlan& plan, std::type_identity_t<Contributions<T>> contributions,
              Accumulator<T> rate, Matrix<T> weight) {
  fold<T>(where, plan, contributions, {.rule = Rule::sgd, .out = weight, .rate = rate});
}

template <class T>
void adagrad_rows(Cuda where, const CudaRowPlan& plan, std::type_identity_t<Contributions<T>> contributions,
                  Accumulator<T> rate, Accumulator<T> epsilon, Matrix<Accumulator<T>> sum, Matrix<T> weight) {
  fold<T>(where, plan, contributions,
          {.rule = Rule::adagrad, .out = weight, .rate = rate, .epsilon = epsilon, .state = sum});
}

template <class T>
void rowwise_adagrad_rows(Cuda where, const CudaRowPlan& plan, std::type_identity_t<Contributions<T>> contributions,
                          Accumulator<T> rate, Accumulator<T> epsilon, Accumulator<T>* sums, Matrix<T> weight) {
  fold<T>(where, plan, contributions,
          {.rule = Rule::rowwise_adagrad,
           .out = weight,
           .rate = rate,
           .epsilon = epsilon,
           .state = {.data = sums, .rows = weight.rows, .columns = 1, .stride = 1}});
}

#define TARTAN_INSTANTIATE(T)                                                                                    \
  template void fold_rows(Cuda, const CudaRowPlan&, Contributions<T>, Matrix<T>);                                \
  template void accumulate_rows(Cuda, const CudaRowPlan&, Contributions<T>, Matrix<T>);                          \
  template void sgd_rows(Cuda, const CudaRowPlan&, Contributions<T>, Accumulator<T>, Matrix<T>);                 \
  template void adagrad_rows(Cuda, const CudaRowPlan&, Contributions<T>, Accumulator<T>, Accumulator<T>,         \
                             Matrix<Accumulator<T>>, Matrix<T>);                                                 \
  template void rowwise_adagrad_rows(Cuda, const CudaRowPlan&, Contributions<T>, Accumulator<T>, Accumulator<T>, \
                                     Accumulator<T>*, Matrix<T>);
TARTAN_FOR_EACH_FLOATING_TYPE(TARTAN_INSTANTIATE)
#undef TARTAN_INSTANTIATE

}  // namespace tartan::kernels
