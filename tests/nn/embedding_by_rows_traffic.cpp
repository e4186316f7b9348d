// What moves when rows move instead of tables: who sends how much, when, and what is kept.

#include <fstream>

#include <tartan/comm/recorder.hpp>
#include <tartan/optim/optimizer.hpp>

#include "autograd/logical.hpp"
#include "nn/options.hpp"

namespace tartan {
namespace {

using namespace testing;

/// Calls of one kind that a rank makes, and the bytes that all ranks together send.
struct Traffic {
  std::map<Collective, Index> calls;
  Index bytes = 0;

  friend bool operator==(const Traffic&, const Traffic&) = default;
};

/// Collective over all ranks. What `call` does on this rank.
template <class Call>
Traffic traffic_of(Call call) {
  Traffic traffic;
  Index mine = 0;
  {
    const CommRecorder recorder;
    call();
    for (const auto& record : recorder.records()) {
      if (record.size > 1 && record.collective != Collective::agreement) ++traffic.calls[record.collective];
    }
    mine = recorder.bytes();
  }
  world().all_reduce(std::span<const Index>(&mine, 1), std::span<Index>(&traffic.bytes, 1));
  return traffic;
}

/// What a lookup by rows and its backward should do, counted from the ids.
struct Expected {
  Traffic forward;
  Traffic backward;

  Expected(const Distribution& weight, const Distribution& batch, const std::vector<Index>& ids) {
    const auto& grid = weight.grid();
    const Index data = grid.extent(0);
    const Index blocks = grid.extent(1);
    const auto named = [&](int position, Interval rows) {
      std::set<Index> distinct;
      for (const Index flat : held_elements(batch, position)) {
        const Index id = ids[static_cast<std::size_t>(flat)];
        if (rows.contains(id)) distinct.insert(id);
      }
      return std::ssize(distinct);
    };
    const auto applied = weight.with(0, Replicate{});
    const bool kept = weight.placement(0).is_replicate();
    Index pulled = 0;
    Index summed = 0;
    for (int position = 0; position < static_cast<int>(grid.size()); ++position) {
      const auto rows = applied.box(position)[0];
      const Index row_bytes = 4 * applied.box(position)[1].extent();
      if (data > 1 && !kept) {
        const Index mine = named(position, weight.box(position)[0]);
        pulled += 8 * (data - 1) + (named(position, rows) - mine) * (8 + row_bytes);
      }
      if (data > 1 && kept) summed += (data - 1) * (8 + named(position, rows) * (8 + row_bytes));
      if (blocks > 1) forward.bytes += (blocks - 1) * named(position, rows) * row_bytes;
    }
    forward.bytes += pulled;
    backward.bytes = kept ? summed : pulled;
    if (weight.topology().active()) {
      if (data > 1 && !kept) forward.calls[Collective::all_to_all] = backward.calls[Collective::all_to_all] = 3;
      if (data > 1 && kept) backward.calls[Collective::all_gather] = 3;
      if (blocks > 1) ++forward.calls[Collective::all_gather];
    }
  }
};

/// The most memory that this process has held since the last reset(); Linux only.
struct PeakMemory {
  static bool reset() { return static_cast<bool>(std::ofstream("/proc/self/clear_refs") << "5" << std::flush); }
  static Index kilobytes(const std::string& key = "VmHWM:") {
    std::ifstream status("/proc/self/status");
    for (std::string word; status >> word;) {
      Index value = 0;
      if (word == key && status >> value) return value;
    }
    return 0;
  }
};

TEST_CASE("a lookup by rows sends the distinct rows of each rank once, both ways, on every grid") {
  const auto ids = some_ids(22, 13);
  const auto upstream = some_upstream<float>(22 * 9);
  for (const auto& grid : factorisations(world().size(), 3)) {
    const auto topology = Partition(world()).cartesian(grid);
    for (const auto& storage : storages()) {
      for (const bool sparse : {true, false}) {
        const DistributedEmbedding<float> layer(topology, {.num_embeddings = 13,
                                                           .embedding_dim = 9,
                                                           .sparse = sparse,
                                                           .storage = storage,
                                                           .exchange = Exchange::rows});
        const auto batch = layer.input_distribution({22});
        INFO("weight " << layer.weight().distribution().to_string());
        const auto placed = placed_ids<Index>(batch, ids);
        const Expected expected(layer.weight().distribution(), batch, ids);
        GradientTape tape;
        Variable<float> loss;
        const auto forward = traffic_of([&] { loss = loss_of(layer(placed), upstream); });
        const auto backward = traffic_of([&] { tape.backward(loss); });
        CHECK(forward.calls == expected.forward.calls);
        CHECK(forward.bytes == expected.forward.bytes);
        CHECK(backward.calls == expected.backward.calls);
        CHECK(backward.bytes == expected.backward.bytes);

        // A row-sparse gradient goes the same way where tables move for the lookup.
        if (!sparse) continue;
        const DistributedEmbedding<float> by_table(topology, {.num_embeddings = 13,
                                                              .embedding_dim = 9,
                                                              .sparse = true,
                                                              .storage = storage,
                                                              .output = Partial{},
                                                              .exchange = Exchange::table});
        GradientTape second;
        loss = loss_of(by_table(placed), upstream);
        const auto after_table = traffic_of([&] { second.backward(loss); });
        CHECK(after_table.calls == expected.backward.calls);
        CHECK(after_table.bytes == expected.backward.bytes);
      }
    }
  }
}

TEST_CASE("a table of a million rows: bytes, changed rows and memory follow the ids") {
  if (world().size() == 1) return;
  constexpr Index rows = 1'000'000;
  constexpr Index columns = 16;
  constexpr Index table_kilobytes = rows * columns * 4 / 1024;
  const auto topology = Partition(world()).first(2).cartesian({2, 1, 1});
  std::vector<Index> ids;
  for (Index i = 0; i < 4096; ++i) ids.push_back((i % 3000 * 7919 + i % 5) % rows);
  const auto upstream = some_upstream<float>(4096 * columns);

  Buffer::keep_at_most(0);
  for (const auto& storage : storages()) {
    for (const auto exchange : {Exchange::automatic, Exchange::table}) {
      if (exchange == Exchange::table && !storage.is_root()) continue;
      INFO("storage " << storage.to_string());
      const DistributedEmbedding<float> layer(topology, {.num_embeddings = rows,
                                                         .embedding_dim = columns,
                                                         .sparse = true,
                                                         .initial = initializers::constant(1),
                                                         .storage = storage,
                                                         .exchange = exchange});
      const auto batch = layer.input_distribution({4096});
      const auto placed = placed_ids<std::int32_t>(batch, ids);
      const bool measured = PeakMemory::reset();
      const auto before = PeakMemory::kilobytes("VmRSS:");
      Traffic forward;
      Traffic backward;
      {
        GradientTape tape;
        Variable<float> loss;
        forward = traffic_of([&] { loss = loss_of(layer(placed), upstream); });
        backward = traffic_of([&] { tape.backward(loss); });
      }
      const auto grown = PeakMemory::kilobytes() - before;
      if (exchange == Exchange::table) {  // what the row path is compared with, and proof that the measure sees it
        CHECK(forward.bytes == rows * columns * 4);
        if (measured && topology.rank() == 1) CHECK(grown > table_kilobytes / 2);
        continue;
      }
      const Expected expected(layer.weight().distribution(), batch, ids);
      CHECK(forward == expected.forward);
      CHECK(backward == expected.backward);
      CHECK(forward.bytes + backward.bytes < 3 * 4096 * (columns * 4 + 8));
      if (measured && topology.active() && !storage.is_replicate()) CHECK(grown < table_kilobytes / 8);

      Adagrad<float> adagrad(layer.parameters(), {.learning_rate = 0.1});
      CHECK(traffic_of([&] { adagrad.step(); }) == Traffic{});
      const std::set<Index> distinct(ids.begin(), ids.end());
      const auto box = layer.weight().value().box();
      std::set<Index> changed;
      const auto local = layer.weight().value().local().span();
      for (std::size_t i = 0; i < local.size(); ++i) {
        if (local[i] != 1) changed.insert(box[0].begin + static_cast<Index>(i) / columns);
      }
      const std::set<Index> mine(distinct.lower_bound(box[0].begin), distinct.lower_bound(box[0].end));
      CHECK(changed == mine);
    }
  }
  Buffer::keep_at_most(Index{128} << 20);
}

TEST_CASE("automatic moves what is smaller") {
  const int n = world().size();
  const auto kinds = [](const CartesianTopology& topology, EmbeddingLayerOptions options, Index count) {
    const DistributedEmbedding<float> layer(topology, options);
    const auto placed = placed_ids<Index>(layer.input_distribution({count}), some_ids(count, options.num_embeddings));
    return traffic_of([&] { layer(placed); }).calls;
  };
  const std::map<Collective, Index> nothing;
  const auto data = Partition(world()).cartesian({n, 1, 1});
  const auto rows = Partition(world()).cartesian({1, n, 1});
  using Calls = std::map<Collective, Index>;
  for (const auto& storage : {Placement{Root{}}, Placement{Shard{0}}}) {
    const EmbeddingLayerOptions large{.num_embeddings = 5000, .embedding_dim = 4, .storage = storage};
    const EmbeddingLayerOptions small{.num_embeddings = 7, .embedding_dim = 4, .storage = storage};
    CHECK(kinds(data, large, 8) == (n == 1 ? nothing : Calls{{Collective::all_to_all, 3}}));
    const auto moved = storage.is_root() ? Collective::broadcast : Collective::all_gather;
    CHECK(kinds(data, small, 800) == (n == 1 ? nothing : Calls{{moved, 1}}));
    CHECK(kinds(rows, small, 800) == (n == 1 ? nothing : Calls{{Collective::all_gather, 1}}));
  }
  const EmbeddingLayerOptions pending{.num_embeddings = 7, .embedding_dim = 4, .output = Partial{}};
  CHECK(kinds(rows, pending, 800) == nothing);
}

TEST_CASE("replicated ids are looked up by table along the data axis, whatever is asked for") {
  const int n = world().size();
  const auto ids = some_ids(11, 13);
  for (const auto& grid : factorisations(n, 3)) {
    for (const auto& storage : storages()) {
      const EmbeddingLayerOptions options{
          .num_embeddings = 13, .embedding_dim = 5, .storage = storage, .exchange = Exchange::rows};
      const DistributedEmbedding<float> layer(Partition(world()).cartesian(grid), options);
      const auto placed = placed_ids<Index>({layer.weight().topology(), {11}, Placements(3, Replicate{})}, ids);
      const auto upstream = some_upstream<float>(11 * 5);
      GradientTape tape;
      Variable<float> y;
      const auto calls = traffic_of([&] { y = layer(placed); }).calls;
      CHECK(!calls.contains(Collective::all_to_all));
      CHECK(calls.contains(Collective::broadcast) == (grid[0] > 1 && storage.is_root()));
      CHECK(same_bits(whole_rows(y), Table<float>(options).looked_up(ids)));
      tape.backward(loss_of(y, upstream));
      CHECK(matches(layer.weight().dense_gradient(), TableGradient<float>(ids, upstream, 13, 5), true));
    }
  }
}

TEST_CASE("a table moves when it has changed, and only then") {
  const int n = world().size();
  const auto ids = some_ids(11, 13);
  const auto upstream = some_upstream<float>(11 * 5);
  for (const auto& grid : factorisations(n, 3)) {
    for (const auto& storage : storages()) {
      const EmbeddingLayerOptions options{.num_embeddings = 13,
                                          .embedding_dim = 5,
                                          .storage = storage,
                                          .output = Partial{},
                                          .exchange = Exchange::table};
      const DistributedEmbedding<float> layer(Partition(world()).cartesian(grid), options);
      auto weight = layer.weight();
      Sgd<float> sgd(layer.parameters(), {.learning_rate = 0.5});
      const auto placed = placed_ids<Index>(layer.input_distribution({11}), ids);
      const auto moves = [&] {
        const auto calls = traffic_of([&] { layer(placed); }).calls;
        Index sum = 0;
        for (const auto& [kind, count] : calls) sum += count;
        return sum;
      };
      const Index once = grid[0] > 1 && !storage.is_replicate() ? 1 : 0;
      auto expected = Table<float>(options);
      INFO("weight " << weight.distribution().to_string());
      CHECK(moves() == once);
      CHECK(moves() == 0);
      const auto accumulate = [&](Index first_moves) {
        GradientTape tape;
        Variable<float> y;
        const auto traffic = traffic_of([&] { y = layer(placed); });
        CHECK(traffic.calls.size() == static_cast<std::size_t>(first_moves));
        CHECK(same_numbers(whole_rows(y), expected.looked_up(ids)));
        tape.backward(loss_of(y, upstream));
      };
      accumulate(0);
      accumulate(0);
      weight.clear_gradient();
      sgd.step();  // without a gradient: nothing changes
      CHECK(moves() == 0);

      const auto set = [&](float value) {
        weight.modify([&](Tensor<float>& out) { out.fill(value); });
        expected.values.assign(expected.values.size(), value);
      };
      set(0.25F);
      accumulate(once);
      const TableGradient<float> gradient(ids, upstream, 13, 5);
      sgd.step();
      sgd.clear_gradients();
      const auto copy = layer;  // copies are the same layer's table
      for (std::size_t i = 0; i < expected.values.size(); ++i) expected.values[i] -= 0.5F * gradient.values[i];
      const auto y = whole_rows(layer(placed));
      CHECK(moves() == 0);
      const auto looked_up = held(y.distribution(), expected.looked_up(ids));
      const auto local = y.local().span();
      CHECK(std::ranges::equal(local, looked_up, [](float a, float b) { return std::abs(a - b) < 1e-5F; }));
      set(3);
      CHECK(moves() == once);
      CHECK(same_bits(whole_rows(copy(placed)), expected.looked_up(ids)));
    }
  }
}

}  // namespace
}  // namespace tartan
