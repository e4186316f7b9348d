// Cross-entropy with its classes and rows cut in every way, against PyTorch's numbers and plain loops: values,
// gradients, extreme logits, classes that some ranks have none of, messages, refusals.

#include <tartan/nn/cross_entropy.hpp>

#include <malloc.h>

#include <cmath>
#include <limits>

#include "autograd/check_placements.hpp"
#include "nn/traffic.hpp"
#include "oracles/cross_entropy_values.hpp"
#include "oracles/dyadic.hpp"

namespace tartan {
namespace {

using namespace testing;

constexpr double infinity = std::numeric_limits<double>::infinity();

/// Every placement that logits of `dimensions` dimensions may have.
std::vector<Placements> placements_of_logits(int axes, int dimensions) {
  std::vector<Placements> result;
  for (auto& placements : all_placements(axes, dimensions)) {
    const bool fits = std::ranges::all_of(placements, [](Placement p) { return p.is_shard() || p.is_replicate(); });
    if (fits) result.push_back(std::move(placements));
  }
  return result;
}

template <class T>
DistributedTensor<T> targets_of(const Distribution& logits, const std::vector<Index>& targets) {
  const auto d = target_distribution(logits);
  return DistributedTensor<T>::from_function(
      d, [&](std::span<const Index> i) { return targets[static_cast<std::size_t>(d.shape().flat(i))]; });
}

template <class T>
DistributedTensor<T> replicated(const CartesianTopology& topology, const std::vector<double>& values) {
  return placed_values<T>(
      {topology, Shape{std::ssize(values)}, Placements(static_cast<std::size_t>(topology.grid().axes()), Replicate{})},
      values);
}

struct Case {
  std::string name;
  bool ignores = false;
  double smoothing = 0;
  bool weighted = false;
};

const std::vector<Case> cases{{"plain"},
                              {"ignore_index", true},
                              {"label_smoothing", false, 0.25},
                              {"all smooth", false, 1},
                              {"weight", false, 0, true},
                              {"all", true, 0.25, true}};

const Shape logits_shape{4, 3, 7};

/// The targets of make_cross_entropy_values.py.
std::vector<Index> oracle_targets(bool ignores) {
  std::vector<Index> targets;
  for (Index i = 0; i < 12; ++i) targets.push_back((5 * i + 3) % 7);
  if (ignores) {
    for (const auto i : {0, 4, 7, 11}) targets[static_cast<std::size_t>(i)] = 5;
  }
  return targets;
}

std::vector<double> oracle_weights() {
  auto weights = dyadic(7, 3, 1, 5, 4);
  for (double& weight : weights) weight += 1;
  return weights;
}

template <class T>
bool near(const DistributedTensor<T>& tensor, const std::vector<double>& whole) {
  const auto expected = held(tensor.distribution(), whole);
  const auto mine = tensor.local_on_host();
  return std::ranges::equal(mine.span(), expected, [](T a, double b) {
    const double bound = 16 * std::numeric_limits<T>::epsilon() * std::max(1.0, std::abs(b));
    return std::abs(static_cast<double>(a) - b) <= bound;
  });
}

template <class T, class I>
void check_case(const Case& tried, LossReduction reduction, const std::string& key, const Distribution& d,
                bool reproducible) {
  const auto logits = Variable<T>::parameter("logits", placed_values<T>(d, dyadic(84, 7, 0, 23, 4)));
  const auto targets = targets_of<I>(d, oracle_targets(tried.ignores));
  CrossEntropyOptions<T> options{
      .label_smoothing = tried.smoothing, .reduction = reduction, .reproducible = reproducible};
  if (tried.ignores) options.ignore_index = 5;
  if (tried.weighted) options.weight = replicated<T>(d.topology(), oracle_weights());
  const DistributedCrossEntropy<T> criterion(options);
  GradientTape tape;
  const auto loss = criterion(logits, targets);
  if (reduction == LossReduction::none) {
    CHECK(loss.distribution() == target_distribution(d));
    const auto upstream = placed_values<T>(loss.distribution(), dyadic(12, 5, 1, 13, 16));
    tape.backward(sum(loss * Variable<T>(upstream)));
  } else {
    tape.backward(T(0.75) * loss);
  }
  const auto whole = redistribute(loss.value(), Placements(d.placements().size(), Replicate{}));
  CHECK(near(whole, cross_entropy_values.at(key + "loss")));
  CHECK(near(logits.dense_gradient(), cross_entropy_values.at(key + "gradient")));
}

TEMPLATE_TEST_CASE("cross-entropy gives PyTorch's numbers, however its rows and classes are cut", "", float, double) {
  using T = TestType;
  const std::map<std::string, LossReduction> reductions{
      {"mean", LossReduction::mean}, {"sum", LossReduction::sum}, {"none", LossReduction::none}};
  int count = 0;
  for (const auto& topology : topologies(Partition(world()))) {
    for (const auto& placements : placements_of_logits(topology.grid().axes(), 3)) {
      const Distribution d(topology, logits_shape, placements);
      for (const auto& tried : cases) {
        for (const auto& [name, reduction] : reductions) {
          const auto key = tried.name + ", " + name + suffix<T>() + ": ";
          INFO(key << d.to_string());
          if (count++ % 2 == 0) {
            check_case<T, std::int32_t>(tried, reduction, key, d, count % 3 == 0);
          } else {
            check_case<T, std::int64_t>(tried, reduction, key, d, count % 3 == 0);
          }
        }
      }
    }
  }
}

TEMPLATE_TEST_CASE("log_sum_exp and the entropy give PyTorch's numbers", "", float, double) {
  using T = TestType;
  for (const auto& topology : topologies(Partition(world()))) {
    for (const auto& placements : placements_of_logits(topology.grid().axes(), 3)) {
      const Distribution d(topology, logits_shape, placements);
      INFO(d.to_string());
      for (const std::string name : {"log_sum_exp", "entropy"}) {
        const auto x = Variable<T>::parameter("x", placed_values<T>(d, dyadic(84, 7, 0, 23, 4)));
        GradientTape tape;
        const auto y = name == "entropy" ? functional::entropy(x) : functional::log_sum_exp(x);
        CHECK(y.distribution() == target_distribution(d));
        tape.backward(sum(y * Variable<T>(placed_values<T>(y.distribution(), dyadic(12, 5, 1, 13, 16)))));
        const auto key = name + suffix<T>() + ": ";
        CHECK(near(y.value(), cross_entropy_values.at(key + "value")));
        CHECK(near(x.dense_gradient(), cross_entropy_values.at(key + "gradient")));
      }
    }
  }
}

TEST_CASE("the gradient of cross-entropy is its derivative") {
  const std::vector<Index> targets{4, -100, 0, 2, 3, 1};
  Operation operation{
      .name = "cross-entropy",
      .shapes = {{3, 2, 5}},
      .apply =
          [&](const Inputs& i) {
            const auto& d = i[0].distribution();
            return functional::cross_entropy(
                i[0], targets_of<Index>(d, targets),
                {.weight = replicated<double>(d.topology(), {1, 2, 0.5, 0, 3}), .label_smoothing = 0.125});
          },
      .meaning =
          [&](const std::vector<Flat>& i) {
            const Flat w{1, 2, 0.5, 0, 3};
            double loss = 0, weight = 0;
            for (std::size_t row = 0; row < targets.size(); ++row) {
              if (targets[row] < 0) continue;
              double s = 0;
              for (std::size_t c = 0; c < 5; ++c) s += std::exp(i[0][row * 5 + c]);
              const auto nll = [&](std::size_t c) { return std::log(s) - i[0][row * 5 + c]; };
              const auto y = static_cast<std::size_t>(targets[row]);
              loss += 0.875 * w[y] * nll(y);
              for (std::size_t c = 0; c < 5; ++c) loss += 0.125 / 5 * w[c] * nll(c);
              weight += w[y];
            }
            return Flat{loss / weight};
          },
      .order = Order::other,
      .scale = 0.25};
  const Expected expected(operation);
  for (const auto& partition : partitions()) {
    Batch batch;
    for (const auto& topology : topologies(partition)) {
      for (const auto& placements : placements_of_logits(topology.grid().axes(), 3)) {
        check_operation(operation, {Distribution(topology, {3, 2, 5}, placements)}, expected, batch);
      }
    }
    batch.verify();
  }
}

/// The loss of one row and its gradient, the classes cut over all ranks.
struct OneRow {
  double loss;
  std::vector<double> gradient;

  OneRow(const std::vector<double>& x, Index target, CrossEntropyOptions<double> options = {}) {
    const auto topology = Partition(world()).cartesian({world().size()});
    const Distribution d(topology, Shape{std::ssize(x)}, {Shard{0}});
    const auto logits = Variable<double>::parameter("logits", placed_values<double>(d, x));
    GradientTape tape;
    const auto result = functional::cross_entropy(logits, targets_of<Index>(d, {target}), options);
    tape.backward(result);
    loss = result.value().full_tensor()[0];
    const auto whole = logits.dense_gradient().full_tensor();
    gradient.assign(whole.span().begin(), whole.span().end());
  }
};

TEST_CASE("extreme logits: far apart, -inf, NaN, more ranks than classes") {
  const OneRow far({1000, -1000, 999}, 2);
  CHECK(far.loss == Approx(1 + std::log1p(std::exp(-1.0))).epsilon(1e-14));
  CHECK(far.gradient[1] == 0);
  CHECK(far.gradient[0] == Approx(1 / (1 + std::exp(-1.0))).epsilon(1e-14));
  CHECK(OneRow({1000, -1000, 999}, 1).loss == Approx(2000 + std::log1p(std::exp(-1.0))).epsilon(1e-14));

  const OneRow masked({-infinity, 0.5, -infinity, 0.5, -infinity}, 3);
  CHECK(masked.loss == Approx(std::log(2)).epsilon(1e-14));
  CHECK(masked.gradient == std::vector<double>{0, 0.5, 0, -0.5, 0});
  CHECK(OneRow({-infinity, 0.5, -infinity}, 0).loss == infinity);
  CHECK(OneRow({-infinity, 0.5, 0.5}, 1, {.label_smoothing = 0.1}).loss == infinity);
  // A class of weight 0 is not looked at by smoothing.
  const auto topology = Partition(world()).cartesian({world().size()});
  const OneRow weightless({-infinity, 0.5, 0.5}, 1,
                          {.weight = replicated<double>(topology, {0, 1, 1}), .label_smoothing = 0.75});
  CHECK(weightless.loss == Approx(std::log(2) * (0.25 + 0.25 * 2)).epsilon(1e-14));
  CHECK(weightless.gradient[0] == 0);

  CHECK(std::isnan(OneRow({0, std::numeric_limits<double>::quiet_NaN(), 1}, 0).loss));
  CHECK(std::isnan(OneRow({-infinity, -infinity}, 0).loss));
  CHECK(std::isnan(OneRow({infinity, 0}, 0).loss));
  CHECK(OneRow({3}, 0).loss == 0);
}

TEST_CASE("where every target is ignored the sum is 0, the mean is not a number, and nothing gets a gradient") {
  const auto topology = Partition(world()).cartesian({world().size(), 1});
  const Distribution d(topology, {5, 3}, {Shard{1}, Shard{0}});
  for (const auto reduction : {LossReduction::sum, LossReduction::mean}) {
    const auto logits = Variable<float>::parameter("logits", placed_values<float>(d, dyadic(15, 7, 0, 23, 4)));
    GradientTape tape;
    const auto loss = functional::cross_entropy(logits, targets_of<Index>(d, std::vector<Index>(5, -100)),
                                                {.label_smoothing = 0.1, .reduction = reduction});
    tape.backward(loss);
    const auto value = loss.value().full_tensor()[0];
    CHECK((reduction == LossReduction::sum ? value == 0 : std::isnan(value)));
    const auto gradient = logits.dense_gradient().local_on_host();
    for (const float g : gradient.span()) CHECK(g == 0);
  }
}

TEST_CASE("a batch without rows") {
  const auto topology = Partition(world()).cartesian({world().size()});
  const Distribution d(topology, {0, 6}, {Shard{1}});
  const auto logits = Variable<double>::parameter("logits", DistributedTensor<double>::zeros(d));
  GradientTape tape;
  const auto loss = functional::cross_entropy(logits, targets_of<Index>(d, {}), {.reduction = LossReduction::sum});
  tape.backward(loss);
  CHECK(loss.value().full_tensor()[0] == 0);
}

TEST_CASE("one message for the classes, one of two doubles for a mean over a cut batch, none backward") {
  const int ranks = world().size();
  const Index rows = 6, classes = 11;
  for (const auto& grid : factorisations(ranks, 2)) {
    const auto topology = Partition(world()).cartesian(grid);
    const Distribution d(topology, {rows, classes}, {Shard{0}, Shard{1}});
    const auto logits = Variable<float>::parameter("logits", DistributedTensor<float>::zeros(d));
    const auto targets = targets_of<Index>(d, std::vector<Index>(rows, 4));
    for (const bool smooth : {false, true}) {
      for (const bool reproducible : {false, true}) {
        for (const bool mean : {false, true}) {
          const CrossEntropyOptions<float> options{.label_smoothing = smooth ? 0.1 : 0,
                                                   .reduction = mean ? LossReduction::mean : LossReduction::sum,
                                                   .reproducible = reproducible};
          functional::cross_entropy(logits, targets, options);  // the targets are checked once
          const Index Pd = grid[0], Pc = grid[1], doubles = (smooth ? 6 : 3) * rows;
          // Of each group of P ranks, an all-reduction of n elements records 2 (P - 1) n, an all-gather (P - 1) n P.
          Plan plan;
          const bool gathered = reproducible || !topology.device().is_cpu();
          if (Pc > 1 && !gathered) plan.push_back({Collective::all_reduce, 2 * (Pc - 1) * 2 * doubles});
          if (Pc > 1 && gathered) plan.push_back({Collective::all_gather, Pc * (Pc - 1) * 2 * doubles});
          if (Pd > 1 && mean) plan.push_back({Collective::all_reduce, 2 * (Pd - 1) * 2 * 2 * Pc});
          GradientTape tape;
          Variable<float> loss;
          check_plan("forward", sent_by([&] { loss = functional::cross_entropy(logits, targets, options); }), plan);
          check_plan("backward", sent_by([&] { tape.backward(loss); }), {});
        }
      }
    }
  }
}

TEST_CASE("what does not fit is refused by every rank before anything moves") {
  const auto topology = Partition(world()).cartesian({world().size()});
  const Distribution d(topology, {4, 6}, {Shard{1}});
  const Variable<double> logits(DistributedTensor<double>::zeros(d));
  const auto targets = targets_of<Index>(d, {0, 5, -100, 2});
  // A bad target names the rank that reads it, the others are the same text.
  SameTexts texts;
  const auto refused = [&](const std::string& part, const auto& call) {
    const CommRecorder recorder;
    const auto text = part.starts_with("target ") ? error_text(call) : texts.of(call);
    INFO(text);
    CHECK(contains(text, part));
    for (const auto& record : recorder.records()) CHECK(record.collective == Collective::agreement);
  };
  refused("label_smoothing of 1.5", [&] { functional::cross_entropy(logits, targets, {.label_smoothing = 1.5}); });
  refused("label_smoothing of -0.1", [&] { functional::cross_entropy(logits, targets, {.label_smoothing = -0.1}); });
  refused("label_smoothing of nan", [&] {
    functional::cross_entropy(logits, targets, {.label_smoothing = std::numeric_limits<double>::quiet_NaN()});
  });
  for (const Index bad : {Index{6}, Index{-1}, Index{1} << 40}) {
    refused("target " + std::to_string(bad), [&] {
      functional::cross_entropy(logits, targets_of<Index>(d, {0, bad, 1, 2}));
    });
  }
  refused("target -100", [&] { functional::cross_entropy(logits, targets, {.ignore_index = 3}); });
  refused("class weights", [&] {
    functional::cross_entropy(logits, targets, {.weight = replicated<double>(topology, {1, 2, 3})});
  });
  refused("placed as", [&] {
    functional::cross_entropy(logits, DistributedTensor<Index>::zeros({topology, {3}, {Replicate{}}}));
  });
  refused("target_distribution", [&] {
    functional::cross_entropy(logits, DistributedTensor<Index>::zeros({topology, {4}, {Shard{0}}}));
  });
  for (const Placement placement : {Placement(Partial{}), Placement(Root{})}) {
    const Distribution wrong(topology, {4, 6}, {placement});
    refused(wrong.to_string(),
            [&] { functional::cross_entropy(Variable<double>(DistributedTensor<double>::zeros(wrong)), targets); });
  }
  texts.verify();
}

TEST_CASE("a bad target on one rank is every rank's error") {
  const auto topology = Partition(world()).cartesian({world().size()});
  const Distribution d(topology, {Index{2} * world().size(), 6}, {Shard{0}});
  std::vector<Index> targets(static_cast<std::size_t>(2 * world().size()), 1);
  targets.back() = 6;
  const Variable<double> logits(DistributedTensor<double>::zeros(d));
  CHECK_THROWS_AS(functional::cross_entropy(logits, targets_of<Index>(d, targets)), Error);
}

TEST_CASE("ten thousand losses leave no memory behind") {
  const auto topology = Partition(world()).cartesian({1, world().size()});
  const Distribution d(topology, {4, 9}, {Shard{0}, Shard{1}});
  const auto logits = Variable<float>::parameter("logits", placed_values<float>(d, dyadic(36, 7, 0, 23, 4)));
  const auto targets = targets_of<Index>(d, {0, 5, 8, 2});
  const auto bytes_in_use = [] {
    const auto info = mallinfo2();
    return static_cast<Index>(info.uordblks + info.hblkhd);
  };
  const auto steps = [&](int count) {
    for (int i = 0; i < count; ++i) {
      GradientTape tape;
      tape.backward(functional::cross_entropy(logits, targets));
      logits.dense_gradient();
      auto parameter = logits;
      parameter.clear_gradient();
    }
  };
  const bool on_cpu = topology.device().is_cpu();
  const int count = on_cpu ? 5000 : 50;
  steps(count);
  const Index before = bytes_in_use();
  steps(count);
  // Less than a byte a step; MPI keeps some pages for itself, and streams keep memory.
  CHECK(bytes_in_use() - before < (world().size() == 1 && on_cpu ? count : 200'000));
}

}  // namespace
}  // namespace tartan
