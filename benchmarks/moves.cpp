// Every move into an existing output, against the bare MPI calls on the same memory:
//   mpiexec -n 2 bench_moves [most repetitions [part of a move's name [columns]]]
#include <fmt/format.h>
#include <mpi.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include <tartan/tartan.hpp>

#include "timing.hpp"

namespace {

using namespace tartan;

using Bare = std::function<void(const float* in, float* out)>;

enum class Kind { first_dimension, inner_dimension, transfer, local };

struct Case {
  Kind kind;
  std::string name;
  std::string peer;
  Distribution from;
  Distribution to;
  Bare bare;
};

/// Whole tensors of `elements` floats on all ranks, as the rows of a matrix.
class Cases {
 public:
  Cases(const Partition& world, Index elements, Index columns)
      : world_{world},
        line_{world.cartesian(Shape{world.size()})},
        shape_{elements / columns, columns},
        scratch_(Shape{elements}, 1.0F),
        comm_{line_.axis(0).native()},
        ranks_{world.size()},
        first_{world.rank() == 0},
        whole_{static_cast<int>(elements)},
        part_{whole_ / ranks_} {
    collectives();
    transfers();
    local_moves();
  }
  const std::vector<Case>& all() const { return cases_; }

 private:
  void add(Kind kind, Placement from, Placement to, std::string peer, Bare bare) {
    cases_.push_back({kind, from.to_string() + " -> " + to.to_string(), std::move(peer),
                      Distribution(line_, shape_, {from}), Distribution(line_, shape_, {to}), std::move(bare)});
  }

  void collectives() {
    const auto gather = [=, this](const float* in, float* out) {
      MPI_Gather(in, part_, MPI_FLOAT, out, part_, MPI_FLOAT, 0, comm_);
    };
    const auto scatter = [=, this](const float* in, float* out) {
      MPI_Scatter(in, part_, MPI_FLOAT, out, part_, MPI_FLOAT, 0, comm_);
    };
    const auto all_gather = [=, this](const float* in, float* out) {
      MPI_Allgather(in, part_, MPI_FLOAT, out, part_, MPI_FLOAT, comm_);
    };
    const auto reduce_scatter = [=, this](const float* in, float* out) {
      MPI_Reduce_scatter_block(in, out, part_, MPI_FLOAT, MPI_SUM, comm_);
    };
    const auto all_to_all = [=, this](const float* in, float* out) {
      MPI_Alltoall(in, part_ / ranks_, MPI_FLOAT, out, part_ / ranks_, MPI_FLOAT, comm_);
    };
    const auto outer = Kind::first_dimension;
    add(outer, Shard{0}, Replicate{}, "Allgather", all_gather);
    add(outer, Shard{0}, Root{}, "Gather", gather);
    add(outer, Root{}, Shard{0}, "Scatter", scatter);
    add(outer, Partial{}, Shard{0}, "Reduce_scatter_block", reduce_scatter);
    add(outer, Partial{}, Replicate{}, "Allreduce",
        [=, this](const float* in, float* out) { MPI_Allreduce(in, out, whole_, MPI_FLOAT, MPI_SUM, comm_); });
    add(outer, Partial{}, Root{}, "Reduce",
        [=, this](const float* in, float* out) { MPI_Reduce(in, out, whole_, MPI_FLOAT, MPI_SUM, 0, comm_); });
    add(outer, Root{}, Replicate{}, "root's memcpy + Bcast", [=, this](const float* in, float* out) {
      if (first_) copy(in, out, whole_);
      MPI_Bcast(out, whole_, MPI_FLOAT, 0, comm_);
    });

    const auto inner = Kind::inner_dimension;
    add(inner, Shard{1}, Replicate{}, "Allgather + memcpy", unpacked(all_gather, whole_));
    add(inner, Shard{1}, Root{}, "Gather + root's memcpy", unpacked(gather, first_ ? whole_ : 0));
    add(inner, Root{}, Shard{1}, "root's memcpy + Scatter", packed(first_ ? whole_ : 0, scatter));
    add(inner, Partial{}, Shard{1}, "memcpy + Reduce_scatter_block", packed(whole_, reduce_scatter));
    add(inner, Shard{0}, Shard{1}, "memcpy + Alltoall", packed(part_, all_to_all));
    add(inner, Shard{1}, Shard{0}, "Alltoall + memcpy", unpacked(all_to_all, part_));
  }

  void transfers() {
    const auto all = ranks_;
    std::vector<int> turned;
    for (int r = 0; r < all; ++r) turned.push_back((r + 1) % all);
    const auto ring = world_.subset(turned).cartesian(Shape{all});
    add_transfer("Shard(0) -> Shard(0), ranks turned by one", Distribution(line_, shape_, {Shard{0}}),
                 Distribution(ring, shape_, {Shard{0}}));
    add_transfer("Shard(0) -> Shard(1), ranks turned by one", Distribution(line_, shape_, {Shard{0}}),
                 Distribution(ring, shape_, {Shard{1}}));
    if (all % 2 != 0) return;
    std::vector<int> low;
    std::vector<int> high;
    for (int r = 0; r < all; ++r) (r < all / 2 ? low : high).push_back(r);
    const auto one = world_.subset(low).cartesian(Shape{all / 2});
    const auto other = world_.subset(high).cartesian(Shape{all / 2});
    add_transfer("Shard(0) -> Shard(1), lower to upper half", Distribution(one, shape_, {Shard{0}}),
                 Distribution(other, shape_, {Shard{1}}));
    const auto square = world_.cartesian(Shape{2, all / 2});
    add_transfer(fmt::format("Shard(0) x Shard(1) on 2 x {} -> Shard(0)", all / 2),
                 Distribution(square, shape_, {Shard{0}, Shard{1}}), Distribution(ring, shape_, {Shard{0}}));
  }

  /// The bare side of a transfer: what a rank keeps is copied row by row, the rest packed, sent and unpacked so.
  void add_transfer(const std::string& name, const Distribution& from, const Distribution& to) {
    struct Rows {
      Index rows, bytes, dense_start, dense_stride;
    };
    struct Peer {
      Rows sent, received;
    };
    const auto rows_in = [](const Box& whole, const Box& part) {
      const Index stride = whole[1].extent();
      if (part.empty()) return Rows{0, 0, 0, 0};
      return Rows{part[0].extent(), part[1].extent() * static_cast<Index>(sizeof(float)),
                  (part[0].begin - whole[0].begin) * stride + part[1].begin - whole[1].begin, stride};
    };
    const auto box_of = [](const Distribution& d, int root_rank) {
      const auto& ranks = d.topology().partition().ranks();
      const auto found = std::ranges::find(ranks, root_rank);
      return d.box(found == ranks.end() ? -1 : static_cast<int>(found - ranks.begin()));
    };
    const int me = world_.rank();
    const auto size = static_cast<std::size_t>(ranks_);
    std::vector<Peer> peers(size);
    std::vector<int> send_counts(size), send_offsets(size), receive_counts(size), receive_offsets(size);
    const auto elements = [](const Rows& r) { return static_cast<int>(r.rows * r.bytes / 4); };
    int sent = 0;
    int received = 0;
    for (int r = 0; r < ranks_; ++r) {
      const auto p = static_cast<std::size_t>(r);
      peers[p].sent = rows_in(box_of(from, me), intersect(box_of(from, me), box_of(to, r)));
      peers[p].received = rows_in(box_of(to, me), intersect(box_of(from, r), box_of(to, me)));
      send_counts[p] = r == me ? 0 : elements(peers[p].sent);
      receive_counts[p] = r == me ? 0 : elements(peers[p].received);
      send_offsets[p] = std::exchange(sent, sent + send_counts[p]);
      receive_offsets[p] = std::exchange(received, received + receive_counts[p]);
    }
    Tensor<float> outbox(Shape{sent}, 1.0F);
    Tensor<float> inbox(Shape{received}, 1.0F);
    const Bare bare = [=, comm = world_.root().native()](const float* in, float* out) mutable {
      const auto own = static_cast<std::size_t>(me);
      for (std::size_t p = 0; p < peers.size(); ++p) {
        const auto& rows = peers[p].sent;
        float* packed = outbox.data() + send_offsets[p];
        for (Index i = 0; p != own && i < rows.rows; ++i, packed += rows.bytes / 4) {
          std::memcpy(packed, in + rows.dense_start + i * rows.dense_stride, static_cast<std::size_t>(rows.bytes));
        }
      }
      MPI_Alltoallv(outbox.data(), send_counts.data(), send_offsets.data(), MPI_FLOAT, inbox.data(),
                    receive_counts.data(), receive_offsets.data(), MPI_FLOAT, comm);
      for (std::size_t p = 0; p < peers.size(); ++p) {
        const auto& rows = peers[p].received;
        const auto& kept = peers[p].sent;
        const float* source = p == own ? in + kept.dense_start : inbox.data() + receive_offsets[p];
        const Index stride = p == own ? kept.dense_stride : rows.bytes / 4;
        for (Index i = 0; i < rows.rows; ++i, source += stride) {
          std::memcpy(out + rows.dense_start + i * rows.dense_stride, source, static_cast<std::size_t>(rows.bytes));
        }
      }
    };
    cases_.push_back({Kind::transfer, name, "packing + Alltoallv", from, to, bare});
  }

  void local_moves() {
    const auto local = Kind::local;
    const auto memcpy_of = [this](int elements) {
      return [=, this](const float*, float* out) { copy(scratch_.data(), out, elements); };
    };
    add(local, Shard{0}, Partial{}, "memcpy", memcpy_of(whole_));
    add(local, Shard{1}, Partial{}, "memcpy", memcpy_of(whole_));
    add(local, Replicate{}, Shard{0}, "memcpy", memcpy_of(part_));
    add(local, Replicate{}, Shard{1}, "memcpy", memcpy_of(part_));
    add(local, Replicate{}, Partial{}, "memcpy", memcpy_of(whole_));
    add(local, Root{}, Partial{}, "memcpy", memcpy_of(whole_));
  }

  static void copy(const float* in, float* out, int elements) {
    std::memcpy(out, in, static_cast<std::size_t>(elements) * sizeof(float));
  }
  Bare packed(int elements, Bare collective) {
    return [=, this](const float* in, float* out) {
      copy(in, scratch_.data(), elements);
      collective(elements > 0 ? scratch_.data() : in, out);
    };
  }
  Bare unpacked(Bare collective, int elements) {
    return [=, this](const float* in, float* out) {
      collective(in, elements > 0 ? scratch_.data() : out);
      copy(scratch_.data(), out, elements);
    };
  }

  Partition world_;
  CartesianTopology line_;
  Shape shape_;
  Tensor<float> scratch_;
  MPI_Comm comm_;
  int ranks_;
  bool first_;
  int whole_;
  int part_;
  std::vector<Case> cases_;
};

using Side = std::function<void()>;

/// Microseconds of the slowest rank for each side and repetition. The sides take turns in going first.
template <std::size_t N>
std::array<std::vector<double>, N> measure(const std::array<Side, N>& sides, MPI_Comm comm, int most) {
  const auto timed = [&](const Side& side) { return benchmarks::microseconds(side, comm); };
  constexpr int warm_up = 5;
  double round = 0;
  for (int i = 0; i < warm_up; ++i) {
    round = 0;
    for (const auto& side : sides) round += timed(side);
  }
  MPI_Allreduce(MPI_IN_PLACE, &round, 1, MPI_DOUBLE, MPI_MAX, comm);
  // At least 200 rounds unless that takes over a minute, and more where they are short.
  const auto repetitions =
      static_cast<std::size_t>(std::min({std::clamp(3e6 / round, 200.0, 1000.0), 60e6 / round, 1.0 * most}));
  std::array<std::vector<double>, N> times;
  for (auto& t : times) t.resize(repetitions);
  for (std::size_t i = 0; i < repetitions; ++i) {
    for (std::size_t k = 0; k < N; ++k) times[(i + k) % N][i] = timed(sides[(i + k) % N]);
  }
  for (auto& t : times) benchmarks::take_slowest(t, comm);
  return times;
}

/// The verdict on a move that takes `mine` where its peer takes `bare`, by the targets of docs/performance.md.
std::string verdict(Kind kind, Index bytes, double mine, double bare) {
  if (kind == Kind::local) return "";
  const double allowed = kind == Kind::transfer ? 1.10 : 1.05;
  const bool ok = mine <= allowed * bare || (bytes < (Index{1} << 20) && mine - bare <= 5);
  return ok ? "ok" : "MISSED";
}

void run_case(const Case& c, Index bytes, int most) {
  auto x = DistributedTensor<float>::constant(c.from, 1.0F);
  auto y = DistributedTensor<float>::zeros(c.to);
  const Redistribution planned(c.from, c.to);
  const float* in = x.local().data();
  float* out = nullptr;
  y.modify([&](Tensor<float>& local) { out = local.data(); });
  const auto bare_side = [&] { c.bare(in, out); };
  const auto& root = c.from.topology().root();
  const auto times =
      measure<4>({bare_side, [&] { planned.forward_into(x, y); }, [&] { redistribute_into(x, y); }, bare_side},
                 root.native(), most);
  if (root.rank() != 0) return;
  const auto bare = benchmarks::quartiles(times[0]);
  const auto move = benchmarks::quartiles(times[1]);
  const auto free = benchmarks::quartiles(times[2]);
  const auto again = benchmarks::quartiles(times[3]);
  fmt::print(
      "{:42} {:30} {:6} {:5} {:8.1f} {:8.1f} {:8.1f} {:8.1f} {:8.1f} {:8.1f} {:6.3f} {:+8.1f} {:6.3f} {:+8.1f} "
      "{:6.3f} {}\n",
      c.name, c.peer, bytes >> 10, times[0].size(), bare.low, bare.median, bare.high, move.low, move.median, move.high,
      move.median / bare.median, move.median - bare.median, free.median / bare.median, free.median - bare.median,
      again.median / bare.median, verdict(c.kind, bytes, move.median, bare.median));
  std::fflush(stdout);
}

const char* name_of(Checks checks) {
  return checks == Checks::off ? "off" : checks == Checks::local ? "local" : "collective";
}

}  // namespace

int main(int argc, char** argv) {
  return tartan::run(argc, argv, [&](const Partition& world) {
    const int most = argc > 1 ? std::atoi(argv[1]) : 1000;
    const std::string wanted = argc > 2 ? argv[2] : "";
    const Index columns = argc > 3 ? std::atoll(argv[3]) : 128;
    if (world.rank() == 0) {
      double load = 0;
      getloadavg(&load, 1);
      fmt::print("{}\nTARTAN_CHECKS={}, {} ranks, {} cores, load {:.2f}, float, matrices of {} columns\n",
                 build_info().to_string(), name_of(checks()), world.size(), std::thread::hardware_concurrency(), load,
                 columns);
      fmt::print(
          "Microseconds of the slowest rank: lower quartile, median, upper quartile. bare: the MPI calls on the same\n"
          "memory (Root -> Replicate: the result lies in another buffer than the input, so the root copies first).\n"
          "move: forward_into of a Redistribution planned once; free: redistribute_into, which looks its plan up. "
          "Ratio\n"
          "and difference of medians against bare; control: bare against itself. KiB: the whole tensor.\n");
      fmt::print("{:42} {:30} {:>6} {:>5} {:>26} {:>26} {:>6} {:>8} {:>6} {:>8} {:>6}\n", "move", "bare", "KiB",
                 "times", "bare", "move", "ratio", "us", "free", "us", "control");
    }
    for (const Index kib : {64, 1024, 32768}) {
      const Cases cases(world, kib * 1024 / static_cast<Index>(sizeof(float)), columns);
      for (const auto& c : cases.all()) {
        if (c.name.find(wanted) != std::string::npos) run_case(c, kib * 1024, most);
      }
    }
  });
}
