// Ids out of range: every rank throws, nothing changes, the next call works; and what agreeing on it costs.

#include <tartan/comm/agreement.hpp>
#include <tartan/comm/recorder.hpp>

#include "nn/oracle.hpp"
#include "support/error_text.hpp"
#include "support/pmpi.hpp"

namespace tartan {
namespace {

using namespace testing;

struct Outcome {
  std::string text = "nothing";
  bool remote = false;
};

template <class Call>
Outcome outcome(Call call) {
  try {
    call();
  } catch (const RemoteError& error) {
    return {error.text(), true};
  } catch (const Error& error) {
    return {error.what(), false};
  }
  return {};
}

std::string expected_text(Index id, const std::string& position, int rank, Index rows) {
  return "id " + std::to_string(id) + " at position (" + position + ") of the ids on rank " + std::to_string(rank) +
         " is out of range: the table has " + std::to_string(rows) + " rows, so ids are 0 to " +
         std::to_string(rows - 1);
}

TEST_CASE("an id out of range on one data coordinate is an error on every rank, and changes nothing") {
  constexpr Index rows = 7;
  constexpr Index per_rank = 3;
  for (const auto& grid : factorisations(world().size(), 3)) {
    const auto topology = Partition(world()).cartesian(grid);
    const int coordinate = topology.coordinates()[0];
    const Index count = per_rank * grid[0];
    for (const auto& storage : storages()) {
      const DistributedEmbedding<float> layer(topology,
                                              {.num_embeddings = rows, .embedding_dim = 4, .storage = storage});
      const auto weight = layer.weight();
      const auto version = weight.value().version();
      for (int culprit = 0; culprit < grid[0]; ++culprit) {
        for (const Index bad : {Index{-1}, rows, Index{1} << 40}) {
          INFO("id " << bad << " at data coordinate " << culprit << " of " << topology.grid().shape().to_string());
          auto list = some_ids(count, rows);
          const auto position = static_cast<std::size_t>(culprit * per_rank + 1);
          list[position] = bad;
          auto ids = placed_ids<Index>(layer.input_distribution({count}), list);
          const auto caught = outcome([&] {
            GradientTape tape;
            tape.backward(sum(layer(ids)));
          });
          CHECK(caught.remote == (coordinate != culprit));
          // The culprits along the rows and columns axes have the same ids; each names itself.
          const int named = caught.remote ? topology.grid().moved(world().rank(), 0, culprit) : world().rank();
          CHECK(caught.text == expected_text(bad, std::to_string(position), named, rows));
          CHECK(!weight.has_gradient());
          CHECK(weight.value().version() == version);

          // The same tensor with good ids is judged anew.
          ids.modify([&](Tensor<Index>& out) {
            for (Index& id : out.span()) id = id == bad ? 0 : id;
          });
          list[position] = 0;
          CHECK(same_bits(layer(ids).value(), Table<float>(layer.options()).looked_up(list)));
        }
      }
      CHECK(same_bits(weight.value(), Table<float>(layer.options()).values));
    }
  }
}

TEST_CASE("each rank as the only culprit where two axes shard the ids") {
  constexpr Index rows = 5;
  for (const auto& grid : factorisations(world().size(), 2)) {
    const auto topology = Partition(world()).cartesian(grid);
    const auto weight =
        Variable<double>::parameter("w", laid_out<double>({topology, {rows, 2}, {Replicate{}, Replicate{}}}));
    for (int culprit = 0; culprit < topology.size(); ++culprit) {
      const Distribution d(topology, {2 * grid[0], 3 * grid[1]}, {Shard{0}, Shard{1}});
      const auto where = d.box(culprit);
      const auto ids = DistributedTensor<std::int32_t>::from_function(
          d, [&](auto i) { return i[0] == where[0].begin + 1 && i[1] == where[1].begin + 2 ? -3 : i[0] % rows; });
      const auto caught = outcome([&] { functional::embedding(ids, weight); });
      CHECK(caught.remote == (world().rank() != culprit));
      const std::string position = std::to_string(where[0].begin + 1) + ", " + std::to_string(where[1].begin + 2);
      const auto text = expected_text(-3, position, culprit, rows);
      CHECK(contains(caught.text, text));
    }
  }
}

TEST_CASE("replicated ids are judged without a message, also where they are wrong") {
  const auto topology = Partition(world()).cartesian({1, world().size(), 1});
  const DistributedEmbedding<float> layer(topology, {.num_embeddings = 7, .embedding_dim = 4, .output = Partial{}});
  const CommRecorder recorder;
  const MpiCounter mpi;
  layer(placed_ids<Index>(layer.input_distribution({11}), some_ids(11, 7)));
  const auto caught = outcome([&] { layer(placed_ids<Index>(layer.input_distribution({3}), {0, 1, 7})); });
  CHECK(!caught.remote);
  CHECK(caught.text == expected_text(7, "2", world().rank(), 7));
  CHECK(recorder.count(Collective::agreement) == 0);
  CHECK(mpi.collectives().calls == 0);
  CHECK(mpi.messages().calls == 0);
}

TEST_CASE("an ids tensor is agreed on once, until it is modified or the table is smaller") {
  const int n = world().size();
  const auto topology = Partition(world()).cartesian({n, 1, 1});
  const DistributedEmbedding<float> layer(topology, {.num_embeddings = 7, .embedding_dim = 4, .storage = Replicate{}});
  const DistributedEmbedding<float> small(topology, {.num_embeddings = 4, .embedding_dim = 4, .storage = Replicate{}});
  auto ids = placed_ids<Index>(layer.input_distribution({11}), some_ids(11, 4));
  CommRecorder recorder;
  const auto agreements_of = [&](const auto& call) {
    recorder.clear();
    const MpiCounter mpi;
    call();
    CHECK(recorder.count() == 0);
    CHECK(mpi.collectives().calls == recorder.count(Collective::agreement));
    Index largest = 0;
    for (const auto& record : recorder.records()) largest = std::max(largest, record.bytes);
    CHECK(largest <= 16);
    return recorder.count(Collective::agreement);
  };
  const Index once = n > 1 ? 1 : 0;
  CHECK(agreements_of([&] { layer(ids); }) == once);
  CHECK(agreements_of([&] { layer(ids); }) == 0);
  const auto copy = ids;
  CHECK(agreements_of([&] { layer(copy); }) == 0);
  CHECK(agreements_of([&] { small(ids); }) == once);
  ids.modify([](Tensor<Index>&) {});
  CHECK(agreements_of([&] { layer(ids); }) == once);
  CHECK(agreements_of([&] { layer(ids.clone()); }) == once);
}

TEST_CASE("with checks off only the culprit throws, and nothing is sent") {
  const auto before = checks();
  set_checks(Checks::off);
  const int n = world().size();
  const DistributedEmbedding<float> layer(Partition(world()).cartesian({n, 1, 1}),
                                          {.num_embeddings = 7, .embedding_dim = 4, .storage = Replicate{}});
  std::vector<Index> list(static_cast<std::size_t>(n), 3);
  list.back() = 9;
  const auto ids = placed_ids<Index>(layer.input_distribution({n}), list);
  const MpiCounter mpi;
  const auto caught = outcome([&] { layer(ids); });
  CHECK((caught.text == "nothing") == (world().rank() != n - 1));
  CHECK(mpi.collectives().calls == 0);
  set_checks(before);
}

TEST_CASE("ids that were modified between forward and backward are refused") {
  const DistributedEmbedding<float> layer(Partition(world()).cartesian({world().size(), 1, 1}),
                                          {.num_embeddings = 7, .embedding_dim = 4, .exchange = Exchange::table});
  auto ids = placed_ids<Index>(layer.input_distribution({3}), {0, 1, 2});
  GradientTape tape;
  const auto loss = sum(layer(ids));
  ids.modify([](Tensor<Index>&) {});
  const auto caught = outcome([&] { tape.backward(loss); });
  CHECK(!caught.remote);
  CHECK(contains(caught.text, "in the backward pass of an embedding: a tensor of "));
  CHECK(!layer.weight().has_gradient());
}

TEST_CASE("ids that differ where they should be copies are found where everything is checked") {
  if (world().size() == 1) return;
  const auto before = checks();
  const auto topology = Partition(world()).cartesian({1, 1, world().size()});
  const DistributedEmbedding<float> layer(topology, {.num_embeddings = 5, .embedding_dim = 4});
  set_checks(Checks::collective);
  for (int culprit = 0; culprit < world().size(); ++culprit) {
    const auto ids = DistributedTensor<Index>::from_function(
        layer.input_distribution({3}), [&](auto i) { return i[0] == 1 && world().rank() == culprit ? 9 : 2; });
    const auto caught = outcome([&] { layer(ids); });
    CHECK(caught.remote == (world().rank() != culprit));
    CHECK(caught.text == expected_text(9, "1", culprit, 5));
  }
  set_checks(before);
}

}  // namespace
}  // namespace tartan
