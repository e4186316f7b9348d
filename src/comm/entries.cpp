#include "comm/entries.hpp"

#include <algorithm>

#include "base/element_types.hpp"
#include "base/fail.hpp"
#include "comm/calls.hpp"

namespace tartan {

const char* to_string(Reduction reduction) {
  return reduction == Reduction::sum ? "sum" : reduction == Reduction::max ? "max" : "min";
}

template <class T>
void enter_broadcast(const Communicator& c, Index n, int root) {
  c.require_usable();
  require_root(c, Collective::broadcast, root);
  enter(c, Collective::broadcast, c.rank() == root ? (c.size() - 1) * bytes<T>(n) : 0,
        [&] { return fmt::format("broadcast({}, {}, root {})", Element<T>::name, n, root); });
}

template <class T>
void enter_reduce(const Communicator& c, Index n, std::size_t out, int root, Reduction reduction) {
  c.require_usable();
  require_root(c, Collective::reduce, root);
  if (c.rank() == root) require_size(c, Collective::reduce, "the output", out, n);
  enter(c, Collective::reduce, c.rank() == root ? 0 : bytes<T>(n),
        [&] { return fmt::format("reduce({}, {}, {}, root {})", Element<T>::name, n, to_string(reduction), root); });
}

template <class T>
void enter_all_reduce(const Communicator& c, Index n, std::size_t out, Reduction reduction) {
  c.require_usable();
  require_size(c, Collective::all_reduce, "the output", out, n);
  enter(c, Collective::all_reduce, c.rank() == 0 ? (c.size() - 1) * bytes<T>(n) : bytes<T>(n),
        [&] { return fmt::format("all_reduce({}, {}, {})", Element<T>::name, n, to_string(reduction)); });
}

template <class T>
Layout enter_gather(const Communicator& c, std::size_t mine, std::size_t all, std::span<const Index> counts, int root) {
  c.require_usable();
  require_root(c, Collective::gather, root);
  const Layout layout(c, Collective::gather, counts);
  require_size(c, Collective::gather, "this rank's part", mine, layout.count());
  const bool is_root = c.rank() == root;
  if (is_root) require_size(c, Collective::gather, "the whole", all, layout.total);
  enter(c, Collective::gather, is_root ? 0 : bytes<T>(layout.count()),
        [&] { return fmt::format("gather({}, root {}, {})", Element<T>::name, root, layout.describe()); });
  return layout;
}

template <class T>
Layout enter_scatter(const Communicator& c, std::size_t all, std::size_t mine, std::span<const Index> counts,
                     int root) {
  c.require_usable();
  require_root(c, Collective::scatter, root);
  const Layout layout(c, Collective::scatter, counts);
  require_size(c, Collective::scatter, "this rank's part", mine, layout.count());
  const bool is_root = c.rank() == root;
  if (is_root) require_size(c, Collective::scatter, "the whole", all, layout.total);
  enter(c, Collective::scatter, is_root ? bytes<T>(layout.total - layout.count()) : 0,
        [&] { return fmt::format("scatter({}, root {}, {})", Element<T>::name, root, layout.describe()); });
  return layout;
}

template <class T>
Layout enter_all_gather(const Communicator& c, std::size_t mine, std::size_t all, std::span<const Index> counts) {
  c.require_usable();
  const Layout layout(c, Collective::all_gather, counts);
  require_size(c, Collective::all_gather, "this rank's part", mine, layout.count());
  require_size(c, Collective::all_gather, "the whole", all, layout.total);
  enter(c, Collective::all_gather, (c.size() - 1) * bytes<T>(layout.count()),
        [&] { return fmt::format("all_gather({}, {})", Element<T>::name, layout.describe()); });
  return layout;
}

template <class T>
Layout enter_reduce_scatter(const Communicator& c, std::size_t all, std::size_t mine, std::span<const Index> counts) {
  c.require_usable();
  const Layout layout(c, Collective::reduce_scatter, counts);
  require_size(c, Collective::reduce_scatter, "this rank's part", mine, layout.count());
  require_size(c, Collective::reduce_scatter, "the whole", all, layout.total);
  enter(c, Collective::reduce_scatter, bytes<T>(layout.total - layout.count()),
        [&] { return fmt::format("reduce_scatter({}, {})", Element<T>::name, layout.describe()); });
  return layout;
}

template <class T>
void enter_all_to_all(const Communicator& c, std::size_t out, std::span<const Index> send_counts, std::size_t in,
                      std::span<const Index> receive_counts, Index largest) {
  c.require_usable();
  const Layout sent(c, Collective::all_to_all, send_counts);
  const Layout received(c, Collective::all_to_all, receive_counts);
  require_size(c, Collective::all_to_all, "the output", out, sent.total);
  require_size(c, Collective::all_to_all, "the input", in, received.total);
  require(std::max(std::ranges::max(send_counts), std::ranges::max(receive_counts)) <= largest,
          "all_to_all on \"{}\", rank {}: a count exceeds the largest count {}", c.name(), c.rank(), largest);
  require(sent.count() == received.count(), "all_to_all on \"{}\": rank {} sends {} elements to itself and receives {}",
          c.name(), c.rank(), sent.count(), received.count());
  enter(c, Collective::all_to_all, bytes<T>(sent.total - sent.count()),
        [&] { return fmt::format("all_to_all({}, largest {})", Element<T>::name, largest); });
}

template <class T>
void enter_all_to_all(const Communicator& c, std::size_t out, std::size_t in, Index count) {
  c.require_usable();
  require(count >= 0, "all_to_all on \"{}\": the count is {}", c.name(), count);
  const Index total = checked_multiply(count, c.size());
  require_size(c, Collective::all_to_all, "the output", out, total);
  require_size(c, Collective::all_to_all, "the input", in, total);
  enter(c, Collective::all_to_all, bytes<T>(total - count),
        [&] { return fmt::format("all_to_all({}, count {})", Element<T>::name, count); });
}

#define TARTAN_INSTANTIATE_MOVES(T)                                                                             \
  template void enter_broadcast<T>(const Communicator&, Index, int);                                            \
  template Layout enter_gather<T>(const Communicator&, std::size_t, std::size_t, std::span<const Index>, int);  \
  template Layout enter_scatter<T>(const Communicator&, std::size_t, std::size_t, std::span<const Index>, int); \
  template Layout enter_all_gather<T>(const Communicator&, std::size_t, std::size_t, std::span<const Index>);   \
  template void enter_all_to_all<T>(const Communicator&, std::size_t, std::span<const Index>, std::size_t,      \
                                    std::span<const Index>, Index);                                             \
  template void enter_all_to_all<T>(const Communicator&, std::size_t, std::size_t, Index);
#define TARTAN_INSTANTIATE_REDUCTIONS(T)                                                  \
  template void enter_reduce<T>(const Communicator&, Index, std::size_t, int, Reduction); \
  template void enter_all_reduce<T>(const Communicator&, Index, std::size_t, Reduction);  \
  template Layout enter_reduce_scatter<T>(const Communicator&, std::size_t, std::size_t, std::span<const Index>);
TARTAN_FOR_EACH_ELEMENT_TYPE(TARTAN_INSTANTIATE_MOVES)
TARTAN_INSTANTIATE_MOVES(std::byte)
TARTAN_FOR_EACH_ELEMENT_TYPE(TARTAN_INSTANTIATE_REDUCTIONS)
#undef TARTAN_INSTANTIATE_MOVES
#undef TARTAN_INSTANTIATE_REDUCTIONS

}  // namespace tartan
