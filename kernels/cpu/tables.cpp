#include "kernels/tables.hpp"

#include <algorithm>
#include <vector>

#include "base/element_types.hpp"
#include "base/parallel.hpp"
#include "kernels/cpu/gather.hpp"
#include "kernels/cpu/multiversion.hpp"
#include "kernels/cpu/prefetch.hpp"

namespace tartan::kernels {
namespace {

/// A table's rows, where they go in row 0 of the output, and how long they are.
struct Slot {
  Source source;
  std::byte* out;
  std::size_t bytes;
  bool streamed;
};

/// Rows `first` to `last` - 1 of the batch in blocks of `ahead`, table after table, while the rows of the next table
/// are on their way.
template <class I>
TARTAN_INLINE void gather_blocks(const std::vector<Slot>& slots, const I* ids, Index first, Index last,
                                 std::size_t stride) {
  const Index tables = std::ssize(slots);
  for (Index begin = first; begin < last; begin += ahead) {
    const Index rows = std::min(ahead, last - begin);
    for (Index f = 0; f < tables; ++f) {
      const bool wraps = f + 1 == tables;
      const Slot& next = slots[wraps ? 0 : f + 1];
      const I* coming = ids + (wraps ? (begin + ahead) * tables : begin * tables + f + 1);
      const Index known = std::min(rows, wraps ? last - begin - ahead : rows);
      gather(
          slots[f].source, ids + begin * tables + f, tables,
          {slots[f].out + static_cast<std::size_t>(begin) * stride, rows, slots[f].bytes, stride, slots[f].streamed},
          [&](Index i, std::size_t) __attribute__((always_inline)) {
            if (i < known) prefetch(next.source.row(coming[i * tables]), next.bytes);
          });
    }
  }
}

#define TARTAN_DEFINE(I)                                                                                      \
  TARTAN_MULTIVERSION void copy_blocks(const std::vector<Slot>& slots, const I* ids, Index first, Index last, \
                                       std::size_t stride) {                                                  \
    gather_blocks(slots, ids, first, last, stride);                                                           \
  }
TARTAN_FOR_EACH_ID_TYPE(TARTAN_DEFINE)
#undef TARTAN_DEFINE

}  // namespace

template <class T, class I>
void gather_tables(Cpu, std::span<const TableColumns<T>> tables, const I* ids, Matrix<T> out) {
  Index widest = 0, total = 0;
  for (const auto& [table, first_row, out_column] : tables) {
    widest = std::max(widest, table.columns);
    total += table.columns;
  }
  const std::vector<T> absent(widest, static_cast<T>(-0.0));
  std::vector<Slot> slots;
  slots.reserve(tables.size());
  for (const auto& [table, first_row, out_column] : tables) {
    auto* const begin = reinterpret_cast<std::byte*>(out.data + out_column);
    const std::size_t bytes = table.columns * sizeof(T);
    slots.push_back({Source(table, first_row, absent.data()), begin, bytes,
                     worth_streaming(begin, bytes, out.stride * sizeof(T), out.rows)});
  }
  parallel(out.rows, 2 * total * sizeof(T),
           [&](Index begin, Index end) { copy_blocks(slots, ids, begin, end, out.stride * sizeof(T)); });
}

#define TARTAN_INSTANTIATE(T, I) \
  template void gather_tables(Cpu, std::span<const TableColumns<T>>, const I*, Matrix<T>);
TARTAN_FOR_EACH_LOOKUP(TARTAN_INSTANTIATE)
TARTAN_WITH_IDS(TARTAN_INSTANTIATE, std::int32_t)
TARTAN_WITH_IDS(TARTAN_INSTANTIATE, std::int64_t)
#undef TARTAN_INSTANTIATE

}  // namespace tartan::kernels
