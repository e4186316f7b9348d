#pragma once

#include <exception>
#include <string>

namespace tartan {

/// How an exception is treated where ranks meet: `mpi` is never agreed, `remote` only repeats another rank's fault.
enum class Fault { none, own, remote, mpi };
Fault classify(const std::exception_ptr& error);

/// What an exception of any type says.
std::string exception_text(const std::exception_ptr& error);

}  // namespace tartan
