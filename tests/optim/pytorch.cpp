// Optimisers against PyTorch's numbers, and against themselves on one rank.

#include <functional>
#include <memory>

#include <tartan/optim/optimizer.hpp>

#include "oracles/dyadic.hpp"
#include "oracles/optimizer_values.hpp"
#include "support/pmpi.hpp"

namespace tartan {
namespace {

using namespace testing;

const Shape shape{5, 3};

template <class T>
using Make = std::function<std::unique_ptr<Optimizer<T>>(std::vector<Variable<T>>)>;

template <template <class> class Kind, class T, class Options>
Make<T> making(Options options) {
  return [=](std::vector<Variable<T>> parameters) { return std::make_unique<Kind<T>>(std::move(parameters), options); };
}

template <class T>
std::map<std::string, Make<T>> cases() {
  const AdagradOptions from_quarter{.learning_rate = 0.1, .epsilon = 1e-3, .initial_accumulator = 0.25};
  const AdamOptions adam{.learning_rate = 0.1};
  const AdamOptions short_memory{.learning_rate = 0.1, .beta1 = 0.5, .beta2 = 0.75, .epsilon = 1e-3};
  return {
      {"sgd", making<Sgd, T>(SgdOptions{.learning_rate = 0.1})},
      {"sgd momentum", making<Sgd, T>(SgdOptions{.learning_rate = 0.1, .momentum = 0.9})},
      {"sgd dampening", making<Sgd, T>(SgdOptions{.learning_rate = 0.1, .momentum = 0.9, .dampening = 0.3})},
      {"sgd nesterov", making<Sgd, T>(SgdOptions{.learning_rate = 0.1, .momentum = 0.9, .nesterov = true})},
      {"sgd weight_decay", making<Sgd, T>(SgdOptions{.learning_rate = 0.1, .weight_decay = 0.2})},
      {"sgd all",
       making<Sgd, T>(SgdOptions{.learning_rate = 0.1, .momentum = 0.7, .weight_decay = 0.2, .nesterov = true})},
      {"adagrad", making<Adagrad, T>(AdagradOptions{.learning_rate = 0.1})},
      {"adagrad options", making<Adagrad, T>(from_quarter)},
      {"adam", making<Adam, T>(adam)},
      {"adam options", making<Adam, T>(short_memory)},
      {"sparse sgd", making<Sgd, T>(SgdOptions{.learning_rate = 0.1})},
      {"sparse adagrad", making<Adagrad, T>(from_quarter)},
      {"sparse adam", making<Adam, T>(adam)},
      {"sparse adam options", making<Adam, T>(short_memory)},
      {"row-wise", making<RowwiseAdagrad, T>(from_quarter)},
      {"sparse row-wise", making<RowwiseAdagrad, T>(AdagradOptions{.learning_rate = 0.1})},
  };
}

/// One backward pass that leaves `gradient` in w: all of it, or of some rows.
template <class T>
void differentiate(const Variable<T>& w, const std::vector<double>& gradient,
                   const std::optional<std::vector<Index>>& rows) {
  GradientTape tape;
  if (!rows) return tape.backward(sum(w * Variable<T>(placed_values<T>(w.distribution(), gradient))));
  std::vector<T> upstream;
  for (const Index row : *rows) {
    const auto begin = gradient.begin() + row * shape[1];
    for (auto g = begin; g < begin + shape[1]; ++g) upstream.push_back(static_cast<T>(*g));
  }
  Placements batch(3, Replicate{});
  batch[0] = Shard{0};
  const auto ids = placed_ids<Index>({w.topology(), {std::ssize(*rows)}, batch}, *rows);
  tape.backward(loss_of(functional::embedding_by_rows(ids, w, {.sparse = true}), upstream));
}

/// The steps of make_optimizer_values.py; what they leave.
template <class T>
DistributedTensor<T> after_steps(const Distribution& d, const Make<T>& make, bool sparse, bool silent = true) {
  static const std::vector<std::vector<Index>> rows{{0, 3}, {3}, {}, {1, 3, 4}, {0, 4}};
  const auto w = Variable<T>::parameter("w", placed_values<T>(d, dyadic(15, 7, 0, 11, 8)));
  const auto optimizer = make({w});
  for (const Index step : {0, 1, 2, 3, 4}) {
    if (step != 2) {
      const auto named = rows[static_cast<std::size_t>(step)];
      differentiate<T>(w, dyadic(15, 5, 3 * step, 13, 16), sparse ? std::optional(named) : std::nullopt);
      REQUIRE(std::holds_alternative<RowSparse<T>>(w.gradient()) == sparse);
    }
    const MpiCounter mpi;
    optimizer->step();
    if (silent) CHECK(mpi.collectives().calls == 0);
    optimizer->clear_gradients();
  }
  return w.value();
}

/// Where a table may lie on data x rows x columns ranks.
std::vector<Distribution> layouts() {
  std::vector<Distribution> all;
  for (const auto& grid : factorisations(world().size(), 3)) {
    const auto topology = Partition(world()).cartesian(grid);
    for (const auto& storage : storages()) {
      all.emplace_back(topology, shape, Placements{storage, Shard{0}, Shard{1}},
                       DistributionOptions{.nesting = {1, 0, 2}});
    }
  }
  return all;
}

bool is_sparse(const std::string& name) { return name.starts_with("sparse"); }
bool is_row_wise(const std::string& name) { return name.ends_with("row-wise"); }

template <class T>
void check_against_pytorch() {
  std::size_t compared = 0;
  for (const auto& [name, make] : cases<T>()) {
    if (is_row_wise(name)) continue;
    compared += 2;
    for (const auto& d : layouts()) {
      INFO(name << ", " << d.to_string());
      CHECK(agrees(after_steps<T>(d, make, is_sparse(name)), optimizer_values.at(name + suffix<T>())));
    }
  }
  CHECK(compared == optimizer_values.size());
}

TEST_CASE("optimisers take PyTorch's steps, wherever the parameter is") {
  check_against_pytorch<float>();
  check_against_pytorch<double>();
}

template <class T>
void check_grids() {
  const auto alone = Partition(world()).subset({0}).cartesian({1, 1, 1});
  const auto everywhere = Partition(world()).cartesian({world().size()});
  for (const auto& [name, make] : cases<T>()) {
    const auto one =
        after_steps<T>({alone, shape, {Root{}, Shard{0}, Shard{1}}}, make, is_sparse(name), !is_row_wise(name));
    const auto copied = redistribute(one, Distribution(everywhere, shape, {Replicate{}}));
    const auto part = copied.local_on_host();
    const std::vector<T> expected(part.span().begin(), part.span().end());
    for (const auto& d : layouts()) {
      INFO(name << ", " << d.to_string());
      CHECK(same_bits(after_steps<T>(d, make, is_sparse(name), !is_row_wise(name)), expected));
    }
  }
}

// The gradients are small binary fractions: the squares that row-wise Adagrad sums over ranks are exact.
TEST_CASE("optimisers give the same bits on every grid as on one rank") {
  check_grids<float>();
  check_grids<double>();
}

}  // namespace
}  // namespace tartan
