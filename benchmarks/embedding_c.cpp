// The row kernels behind a C interface, for benchmarks/embedding_peers.py: float, ids of 64 bits, whole tables.
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include <tartan/base/threads.hpp>
#include <tartan/tensor/buffer.hpp>

#include "base/parallel.hpp"
#include "kernels/bags.hpp"
#include "kernels/rows.hpp"
#include "kernels/tables.hpp"
#include "kernels/updates.hpp"

namespace {

using namespace tartan;
using namespace tartan::kernels;

Matrix<const float> read(const float* data, Index rows, Index columns) { return {data, rows, columns, columns}; }
Matrix<float> write(float* data, Index rows, Index columns) { return {data, rows, columns, columns}; }

std::vector<Buffer>& buffers() {
  static std::vector<Buffer> all;
  return all;
}

}  // namespace

extern "C" {

void tartan_bench_set_threads(int count) { set_threads(count); }

/// Zeroed memory as tensors have it, until tartan_bench_release().
void* tartan_bench_memory(std::int64_t bytes) {
  auto& buffer = buffers().emplace_back(bytes);
  std::memset(buffer.data(), 0, static_cast<std::size_t>(bytes));
  return buffer.data();
}

void tartan_bench_release() {
  buffers().clear();
  Buffer::keep_at_most(0);
}

void tartan_bench_gather(const float* table, std::int64_t rows, std::int64_t columns, const std::int64_t* ids,
                         std::int64_t count, float* out) {
  gather_rows(Cpu{}, read(table, rows, columns), 0, ids, write(out, count, columns));
}

void tartan_bench_accumulate(float* table, std::int64_t rows, std::int64_t columns, const std::int64_t* ids,
                             std::int64_t count, const float* terms) {
  accumulate_rows(Cpu{}, plan_rows(Cpu{}, ids, count, 0, rows, -1), read(terms, count, columns),
                  write(table, rows, columns));
}

void tartan_bench_dense(float* table, std::int64_t rows, std::int64_t columns, const std::int64_t* ids,
                        std::int64_t count, const float* terms) {
  parallel(rows, 4 * columns, [=](Index begin, Index end) {
    std::memset(table + begin * columns, 0, (end - begin) * columns * sizeof(float));
  });
  tartan_bench_accumulate(table, rows, columns, ids, count, terms);
}

void tartan_bench_sgd(float* table, std::int64_t rows, std::int64_t columns, const std::int64_t* ids,
                      std::int64_t count, const std::int64_t* source, const float* terms, float* sums) {
  const auto plan = plan_rows(Cpu{}, ids, count, 0, rows, -1);
  const auto distinct = std::ssize(plan.rows);
  fold_rows(Cpu{}, plan, Contributions<float>{read(terms, count, columns), source, nullptr},
            write(sums, distinct, columns));
  sgd_update(Cpu{}, plan.rows.data(), read(sums, distinct, columns), 0.1f, write(table, rows, columns));
}

void tartan_bench_sum_bags(const float* table, std::int64_t rows, std::int64_t columns, const std::int64_t* ids,
                           const std::int64_t* offsets, std::int64_t bags, const float* factors, float* out) {
  sum_bags(Cpu{}, read(table, rows, columns), 0, ids, offsets, factors, nullptr, -1, write(out, bags, columns));
}

void tartan_bench_max_bags(const float* table, std::int64_t rows, std::int64_t columns, const std::int64_t* ids,
                           const std::int64_t* offsets, std::int64_t bags, std::int64_t* winners, float* out) {
  max_bags(Cpu{}, read(table, rows, columns), 0, ids, offsets, -1, write(out, bags, columns), winners);
}

/// `count` tables of the same size, one after the other; ids (batch, count).
void tartan_bench_tables(const float* tables, std::int64_t count, std::int64_t rows, std::int64_t columns,
                         const std::int64_t* ids, std::int64_t batch, float* out) {
  std::vector<TableColumns<float>> slots;
  for (Index f = 0; f < count; ++f) slots.push_back({read(tables + f * rows * columns, rows, columns), 0, f * columns});
  gather_tables<float>(Cpu{}, slots, ids, write(out, batch, count * columns));
}

}  // extern "C"
