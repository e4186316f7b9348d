// Outputs and gradients against those of PyTorch's nn.Linear, for every option, on every grid.

#include <tartan/nn/linear.hpp>

#include "autograd/check_placements.hpp"
#include "nn/linear_oracle.hpp"
#include "oracles/dyadic.hpp"
#include "oracles/linear_values.hpp"

namespace tartan {
namespace {

using namespace testing;

Flat divided(Flat values, double by) {
  for (double& value : values) value /= by;
  return values;
}

const std::map<std::string, LinearLayerOptions>& options() {
  constexpr LinearAxes axes{.data = 0, .out = 1, .in = 2};
  static const std::map<std::string, LinearLayerOptions> all{
      {"plain", {.axes = axes}},
      {"Root", {.axes = axes, .storage = Root{}}},
      {"Shard(0)", {.axes = axes, .storage = Shard{0}}},
      {"output Partial", {.axes = axes, .output = Partial{}}},
      {"output Shard(0)", {.axes = axes, .output = Shard{0}}},
      {"output Shard(1)", {.axes = axes, .output = Shard{1}}},
      {"output Shard(-1)", {.axes = axes, .output = Shard{-1}}},
      {"output Root", {.axes = axes, .output = Root{}}},
      {"gathered", {.axes = axes, .gather_output = true}},
      {"gathered and Shard(1)", {.axes = axes, .output = Shard{1}, .gather_output = true}},
      {"frozen", {.axes = axes, .freeze = true}},
      {"parts", {.axes = axes, .parts = -1}},  // as many as there are outputs
      {"no axes", {.axes = LinearAxes{}}},
  };
  return all;
}

/// Where x lies: along the data, the out and the in axis.
const std::vector<Placements>& inputs() {
  static const std::vector<Placements> all{{Shard{0}, Replicate{}, Replicate{}},
                                           {Shard{0}, Replicate{}, Shard{2}},
                                           {Replicate{}, Shard{1}, Replicate{}},
                                           {Shard{1}, Root{}, Shard{2}}};
  return all;
}

TEST_CASE("a linear layer gives PyTorch's numbers") {
  Batch batch;
  for (const auto& [size, in, out] :
       {std::tuple("5 to 4", 5, 4), {"2 to 3", 2, 3}, {"7 to 12", 7, 12}, {"1 to 1", 1, 1}}) {
    const auto x_values = divided(dyadic(Index{6} * in, 7, 0, 11, 8), 3);
    const auto w = divided(dyadic(Index{out} * in, 5, 2, 13, 16), 7);
    const auto b = divided(dyadic(out, 3, 1, 7, 4), 5);
    const auto upstream = divided(dyadic(Index{6} * out, 5, 1, 9, 8), 3);
    for (const auto& partition : partitions()) {
      for (const auto& grid : factorisations(partition.size(), 3)) {
        const auto topology = partition.cartesian(grid);
        const auto whole = [&](const Shape& shape, const Flat& values) {
          return placed({topology, shape, {Root{}, Replicate{}, Replicate{}}}, values);
        };
        for (const bool biased : {true, false}) {
          const auto expected = [&, label = std::string(size) + (biased ? ", bias, " : ", no bias, ")](
                                    const char* what) { return linear_values.at(label + what); };
          for (auto [name, how] : options()) {
            if (how.parts < 0) how.parts = out;
            const DistributedLinear<double> layer(topology, whole({out, in}, w),
                                                  biased ? whole({out}, b) : DistributedTensor<double>(), how);
            for (const auto& placements : inputs()) {
              if (name == "no axes" && placements != inputs().front()) continue;
              const Distribution d(topology, {3, 2, in}, placements);
              const auto label = std::string(size) + " on " + grid.to_string() + ", " + name + ", x " + d.to_string();
              INFO(label);
              for (auto parameter : layer.parameters()) parameter.clear_gradient();
              const auto x = Variable<double>::parameter("x", placed(d, x_values));
              GradientTape tape;
              const auto y = layer(x);
              check_logical(y.value(), expected("y"), 1e-14, label + ", y", batch);
              tape.backward(testing::loss_of(y, upstream));
              check_logical(x.dense_gradient(), expected("x"), 1e-14, label + ", x", batch);
              for (const auto& parameter : layer.parameters()) {
                const bool weight = parameter.name() == "linear.weight";
                check_logical(parameter.dense_gradient(), expected(weight ? "weight" : "bias"), 4e-14,
                              label + ", " + parameter.name(), batch);
              }
              CHECK(layer.parameters().size() == (how.freeze ? 0U : biased ? 2U : 1U));
            }
          }
        }
      }
    }
  }
  batch.verify();
}

}  // namespace
}  // namespace tartan
