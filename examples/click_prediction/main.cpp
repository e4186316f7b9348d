#include <fmt/format.h>
#include <fmt/ranges.h>

#include <iostream>

#include <tartan/tartan.hpp>

#include "support/command_line.hpp"
#include "training.hpp"

namespace {

using namespace click_prediction;

void run(const tartan::Partition& world, const Options& options) {
  const auto grid = world.cartesian(command_line::grid_for(options.grid, world.size()), options.device);
  const bool first = world.rank() == 0;
  const auto progress = [&](Index samples, double loss) {
    if (first) std::cout << fmt::format("{:9} samples  loss {:.4f}", samples, loss) << std::endl;
  };
  const auto result = train_and_test(grid, options, progress);
  if (first) {
    std::cout << fmt::format("test AUC {:.4f} (ceiling {:.4f}), {:.0f} samples/s", result.area_under_curve,
                             result.ceiling, result.samples_per_second)
              << std::endl;
  }
}

}  // namespace

int main(int argc, char** argv) {
  return tartan::run(argc, argv, [&](const tartan::Partition& world) {
    if (const auto options = parse_options(argc, argv)) {
      run(world, *options);
    } else if (world.rank() == 0) {
      std::cout << help_text();
    }
  });
}
