#include <fmt/format.h>

#include <tartan/version.hpp>

namespace tartan {

const char* version() noexcept { return TARTAN_VERSION_STRING; }

BuildInfo build_info() {
  return {version(), TARTAN_COMMIT, TARTAN_BUILD_TYPE, TARTAN_COMPILER, TARTAN_MPI, TARTAN_OPTIONS};
}

std::string BuildInfo::to_string() const {
  return fmt::format("Tartan {} (commit {}, {}, {}, {}, {})", version, commit, build_type, compiler, mpi, options);
}

}  // namespace tartan
