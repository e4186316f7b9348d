#include <cstdio>
#include <span>

#include <tartan/tartan.hpp>

static_assert(TARTAN_VERSION >= 100);

int main(int argc, char** argv) {
  return tartan::run(argc, argv, [](const tartan::Partition& world) {
    const auto& ranks = world.communicator();
    tartan::Index rank = ranks.rank();
    tartan::Index sum = 0;
    ranks.all_reduce(std::span<const tartan::Index>{&rank, 1}, std::span{&sum, 1});
    if (sum != tartan::Index{ranks.size()} * (ranks.size() - 1) / 2) throw tartan::Error("a wrong sum of the ranks");
    if (rank == 0) std::printf("%s on %d ranks\n", tartan::build_info().to_string().c_str(), ranks.size());
  });
}
