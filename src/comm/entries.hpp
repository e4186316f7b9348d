#pragma once

#include <cstddef>
#include <span>

#include <tartan/comm/communicator.hpp>

#include "comm/layout.hpp"

/// What each collective of a Communicator checks and records before its first message, whatever carries it. Sizes that
/// contradict each other on this rank throw Error. The sizes are those of its arguments of the same name.
namespace tartan {

const char* to_string(Reduction reduction);

template <class T>
void enter_broadcast(const Communicator& communicator, Index n, int root);
template <class T>
void enter_reduce(const Communicator& communicator, Index n, std::size_t out, int root, Reduction reduction);
template <class T>
void enter_all_reduce(const Communicator& communicator, Index n, std::size_t out, Reduction reduction);
template <class T>
Layout enter_gather(const Communicator& communicator, std::size_t mine, std::size_t all, std::span<const Index> counts,
                    int root);
template <class T>
Layout enter_scatter(const Communicator& communicator, std::size_t all, std::size_t mine, std::span<const Index> counts,
                     int root);
template <class T>
Layout enter_all_gather(const Communicator& communicator, std::size_t mine, std::size_t all,
                        std::span<const Index> counts);
template <class T>
Layout enter_reduce_scatter(const Communicator& communicator, std::size_t all, std::size_t mine,
                            std::span<const Index> counts);
template <class T>
void enter_all_to_all(const Communicator& communicator, std::size_t out, std::span<const Index> send_counts,
                      std::size_t in, std::span<const Index> receive_counts, Index largest);
/// The same where every rank sends `count` elements to every rank.
template <class T>
void enter_all_to_all(const Communicator& communicator, std::size_t out, std::size_t in, Index count);

}  // namespace tartan
