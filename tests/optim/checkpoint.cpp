// Training that is written to a file and goes on. The marked part is in docs/tables.md: scripts/check compares.

#include <unistd.h>

#include <filesystem>
#include <fstream>

#include <tartan/tartan.hpp>

#include "partition/oracle.hpp"
#include "support/error_text.hpp"
#include "support/world.hpp"

namespace tartan {
namespace {

using namespace testing;

// docs: training that goes on
/// Collective over the grid's root, as load() is. Writes, at position 0 of the grid, what load() reads.
void save(const CartesianTopology& grid, const Adam<float>& adam, const std::string& path) {
  const bool here = grid.rank() == 0;
  std::ofstream file;
  const auto write = [&](std::span<const std::byte> bytes) {
    if (here) file.write(reinterpret_cast<const char*>(bytes.data()), std::ssize(bytes));
  };
  if (here) file.open(path, std::ios::binary);
  const double learning_rate = adam.learning_rate();
  write(std::as_bytes(std::span(&learning_rate, 1)));
  write(std::as_bytes(std::span(adam.steps())));
  for (std::size_t i = 0; i < adam.parameters().size(); ++i) {
    for (const auto& tensor : {adam.parameters()[i].value(), adam.first_moments()[i], adam.second_moments()[i]}) {
      const Tensor<float> whole = tensor.to_root();  // every rank calls it; position 0 has the tensor
      write(std::as_bytes(whole.span()));
    }
  }
  collectively(grid.root(), [&] {  // what one rank throws in here, all ranks throw
    if (here && !file.flush()) throw Error("cannot write " + path);
  });
}

/// `adam` is new, on parameters of the same names and shapes, with the same options; the grid may be another.
void load(const CartesianTopology& grid, Adam<float>& adam, const std::string& path) {
  const bool here = grid.rank() == 0;
  std::ifstream file;
  const auto read = [&](std::span<std::byte> bytes) {
    collectively(grid.root(), [&] {
      if (here && !file.read(reinterpret_cast<char*>(bytes.data()), std::ssize(bytes))) {
        throw Error("cannot read " + path);
      }
    });
  };
  const auto read_tensor = [&](const DistributedTensor<float>& like) {
    Tensor<float> whole(here ? like.shape() : Shape{0});
    read(std::as_writable_bytes(whole.span()));
    const Distribution at_root(grid, like.shape(), Placements(grid.grid().axes(), Root{}));  // all at position 0
    return DistributedTensor<float>::from_root(at_root, whole);
  };
  if (here) file.open(path, std::ios::binary);
  double learning_rate = 0;
  std::vector<Index> steps(adam.parameters().size());
  read(std::as_writable_bytes(std::span(&learning_rate, 1)));
  read(std::as_writable_bytes(std::span(steps)));
  const int reader = grid.partition().ranks()[0];  // position 0 as a rank of the root
  grid.root().broadcast(std::span(&learning_rate, 1), reader);
  grid.root().broadcast(std::span(steps), reader);
  adam.set_learning_rate(learning_rate);
  adam.set_steps(steps);
  for (std::size_t i = 0; i < steps.size(); ++i) {
    auto parameter = adam.parameters()[i];  // the same variable
    parameter.assign(read_tensor(parameter.value()));
    redistribute_into(read_tensor(adam.first_moments()[i]), adam.first_moments()[i]);
    redistribute_into(read_tensor(adam.second_moments()[i]), adam.second_moments()[i]);
  }
}
// docs: end

constexpr Index V = 11;
constexpr Index D = 5;
constexpr Index C = 3;

/// A table, a layer and their optimiser, initially the same on every grid.
struct Training {
  DistributedEmbedding<float> embedding;
  DistributedLinear<float> head;
  Adam<float> adam;

  explicit Training(const CartesianTopology& grid)
      : embedding(grid,
                  {.name = "tokens", .num_embeddings = V, .embedding_dim = D, .sparse = true, .storage = Shard{0}}),
        head(grid, {.name = "head", .in_features = D, .out_features = C, .axes = LinearAxes{.data = 0, .in = 2}}),
        adam({embedding.weight(), head.weight(), head.bias()}, {.learning_rate = 0.1}) {}

  /// Steps number `first` to `last` - 1, with falling rates.
  void go_on(int first, int last) {
    const RandomStream random(1, "ids");
    for (int step = first; step < last; ++step) {
      const auto id = [&](std::span<const Index> i) { return random.below(7 * step + i[0], V); };
      const auto ids = DistributedTensor<Index>::from_function(embedding.input_distribution({7}), id);
      GradientTape tape;
      const auto logits = head(embedding(ids));
      const auto targets = DistributedTensor<Index>::from_function(target_distribution(logits.distribution()),
                                                                   [&](auto i) { return id(i) % C; });
      tape.backward(functional::cross_entropy(logits, targets));
      adam.set_learning_rate(adam.learning_rate() * 0.75);
      adam.step();
      adam.clear_gradients();
    }
  }

  /// All parameters, row after row, on each rank of the grid.
  std::vector<float> numbers() const {
    std::vector<float> result;
    for (const auto& parameter : adam.parameters()) {
      const auto whole = parameter.value().full_tensor();
      result.insert(result.end(), whole.span().begin(), whole.span().end());
    }
    return result;
  }
};

/// A file's name, the same on every rank, which rank 0 removes.
class Scratch {
 public:
  Scratch() {
    Index process = getpid();
    world().broadcast(std::span(&process, 1), 0);
    path_ = (std::filesystem::temp_directory_path() / ("tartan.checkpoint." + std::to_string(process))).string();
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  ~Scratch() {
    std::error_code ignored;
    if (world().rank() == 0) std::filesystem::remove(path_, ignored);
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

TEST_CASE("training that was saved goes on as if it had not stopped, on the same grid to the last bit") {
  const Scratch scratch;
  const Partition all(world());
  const auto one = all.subset({all.size() - 1}).cartesian({1, 1, 1});  // position 0 is not rank 0 of the root
  for (const auto& shape : factorisations(all.size(), 3)) {
    const auto grid = all.cartesian(shape);
    INFO(shape.to_string());
    Training unstopped(grid);
    unstopped.go_on(0, 3);
    save(grid, unstopped.adam, scratch.path());
    unstopped.go_on(3, 6);

    Training resumed(grid);
    load(grid, resumed.adam, scratch.path());
    resumed.go_on(3, 6);
    CHECK(resumed.numbers() == unstopped.numbers());
    CHECK(resumed.adam.steps() == unstopped.adam.steps());
    CHECK(resumed.adam.learning_rate() == unstopped.adam.learning_rate());

    Training moved(one);
    load(one, moved.adam, scratch.path());
    save(one, moved.adam, scratch.path());
    Training returned(grid);
    load(grid, returned.adam, scratch.path());
    returned.go_on(3, 6);
    CHECK(returned.numbers() == unstopped.numbers());
  }
}

TEST_CASE("files that cannot be written or read are errors on every rank") {
  const Scratch scratch;
  const Partition all(world());
  const auto grid = all.cartesian({1, all.size(), 1});
  Training training(grid);
  CHECK(contains(error_text([&] { save(grid, training.adam, scratch.path() + "/file"); }), "cannot write"));
  CHECK(contains(error_text([&] { load(grid, training.adam, scratch.path() + "/file"); }), "cannot read"));
  if (world().rank() == 0) std::ofstream(scratch.path()) << "too short to be a checkpoint";
  CHECK(contains(error_text([&] { load(grid, training.adam, scratch.path()); }), "cannot read"));
}

}  // namespace
}  // namespace tartan
