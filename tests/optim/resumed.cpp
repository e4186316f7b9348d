// A checkpoint is the parameters, the state, the numbers of steps and the learning rate.

#include <memory>

#include <tartan/optim/optimizer.hpp>

#include "nn/oracle.hpp"
#include "support/error_text.hpp"

namespace tartan {
namespace {

using namespace testing;

constexpr Index V = 7;
constexpr Index D = 3;

/// An optimiser and the tensors that are its state.
template <class T>
struct Made {
  std::unique_ptr<Optimizer<T>> optimizer;
  std::vector<std::vector<DistributedTensor<Accumulator<T>>>> state;
};

template <class T>
using Make = std::function<Made<T>(const std::vector<Variable<T>>&)>;

template <class T, class O, class Options, class... State>
Make<T> making(Options options, State... state) {
  return [=](const std::vector<Variable<T>>& parameters) {
    auto optimizer = std::make_unique<O>(parameters, options);
    Made<T> made{nullptr, {((*optimizer).*state)()...}};
    made.optimizer = std::move(optimizer);
    return made;
  };
}

template <class T>
std::vector<std::pair<std::string, Make<T>>> all_optimizers() {
  return {{"Sgd",
           making<T, Sgd<T>>(SgdOptions{.learning_rate = 0.3, .momentum = 0.9, .dampening = 0.5}, &Sgd<T>::momentum)},
          {"Nesterov",
           making<T, Sgd<T>>(SgdOptions{.momentum = 0.9, .weight_decay = 0.1, .nesterov = true}, &Sgd<T>::momentum)},
          {"Adagrad", making<T, Adagrad<T>>(AdagradOptions{}, &Adagrad<T>::sums)},
          {"RowwiseAdagrad", making<T, RowwiseAdagrad<T>>(AdagradOptions{}, &RowwiseAdagrad<T>::sums)},
          {"Adam",
           making<T, Adam<T>>(AdamOptions{.learning_rate = 0.1}, &Adam<T>::first_moments, &Adam<T>::second_moments)}};
}

/// Steps number `first` to `last` - 1. The second parameter has no gradient in the first.
template <class T>
void train(const std::vector<Variable<T>>& parameters, Optimizer<T>& optimizer, int first, int last) {
  for (int step = first; step < last; ++step) {
    for (std::size_t i = 0; i < (step == 0 ? 1U : 2U); ++i) {
      const auto& w = parameters[i];
      const auto factors = DistributedTensor<T>::from_function(w.distribution(), [&](std::span<const Index> at) {
        return static_cast<T>(static_cast<float>((at[0] * 5 + at[1] * 3 + step * 7) % 11 - 5) / 8);
      });
      GradientTape tape;
      tape.backward(redistribute(sum(w * Variable<T>(factors) * w), Replicate{}));
    }
    optimizer.set_learning_rate(optimizer.learning_rate() * 0.75);
    optimizer.step();
    optimizer.clear_gradients();
  }
}

template <class T>
std::vector<Variable<T>> new_parameters(const Distribution& d) {
  const auto values = DistributedTensor<T>::from_function(
      d, [](std::span<const Index> at) { return static_cast<T>(static_cast<float>(at[0] - 2 * at[1] + 1) / 4); });
  return {Variable<T>::parameter("a", values), Variable<T>::parameter("b", values.clone())};
}

/// What a checkpoint does to a tensor: whole to a file, and back under another distribution.
template <class T>
void restore(const DistributedTensor<T>& from, const DistributedTensor<T>& to) {
  const auto file = from.to_root();
  const Distribution whole(to.topology(), to.shape(), Placements(to.distribution().placements().size(), Root{}));
  redistribute_into(DistributedTensor<T>::from_root(whole, file), to);
}

TEMPLATE_TEST_CASE("resumed training is uninterrupted training, to the last bit", "", float, double, bfloat16) {
  using T = TestType;
  for (const auto& grid : factorisations(world().size(), 2)) {
    const Distribution d(Partition(world()).cartesian(grid), {V, D}, {Shard{0}, Shard{1}});
    for (const auto& [name, make] : all_optimizers<T>()) {
      INFO(name << ", " << d.to_string());
      const auto whole = new_parameters<T>(d);
      const auto uninterrupted = make(whole);
      train(whole, *uninterrupted.optimizer, 0, 5);

      const auto before = new_parameters<T>(d);
      const auto stopped = make(before);
      train(before, *stopped.optimizer, 0, 2);
      const auto after = new_parameters<T>(d);
      const auto resumed = make(after);
      for (std::size_t i = 0; i < after.size(); ++i) restore(before[i].value(), after[i].value());
      for (std::size_t s = 0; s < resumed.state.size(); ++s) {
        for (std::size_t i = 0; i < after.size(); ++i) restore(stopped.state[s][i], resumed.state[s][i]);
      }
      CHECK(stopped.optimizer->steps() == std::vector<Index>{2, 1});
      resumed.optimizer->set_steps(stopped.optimizer->steps());
      resumed.optimizer->set_learning_rate(stopped.optimizer->learning_rate());
      train(after, *resumed.optimizer, 2, 5);

      CHECK(resumed.optimizer->steps() == uninterrupted.optimizer->steps());
      for (std::size_t i = 0; i < after.size(); ++i) {
        CHECK(std::ranges::equal(after[i].value().local().span(), whole[i].value().local().span()));
      }
      // Without the numbers of steps it would not be.
      if (name != "Sgd" && name != "Adam") continue;
      const auto forgetful = new_parameters<T>(d);
      const auto restarted = make(forgetful);
      restore(before[0].value(), forgetful[0].value());
      for (std::size_t s = 0; s < restarted.state.size(); ++s) restore(stopped.state[s][0], restarted.state[s][0]);
      restarted.optimizer->set_learning_rate(stopped.optimizer->learning_rate());
      train(forgetful, *restarted.optimizer, 2, 5);
      const auto ours = forgetful[0].value().full_tensor();
      const auto theirs = whole[0].value().full_tensor();
      CHECK_FALSE(std::ranges::equal(ours.span(), theirs.span()));
    }
  }
}

TEST_CASE("numbers of steps that are not one for each parameter are refused") {
  const auto parameters =
      new_parameters<float>({Partition(world()).cartesian({world().size()}), {V, D}, {Replicate{}}});
  Adam<float> adam(parameters);
  CHECK(contains(error_text([&] { adam.set_steps({1}); }), "2 parameters takes as many numbers of steps"));
  CHECK(contains(error_text([&] { adam.set_steps({1, -1}); }), "not [1, -1]"));
  CHECK(adam.steps() == std::vector<Index>{0, 0});
}

}  // namespace
}  // namespace tartan
