#pragma once

#include <tartan/comm/communicator.hpp>

namespace tartan::testing {

/// All ranks of this test, while a test case runs.
const Communicator& world();

}  // namespace tartan::testing
