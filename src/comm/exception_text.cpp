#include "comm/exception_text.hpp"

#include <tartan/base/error.hpp>

namespace tartan {

Fault classify(const std::exception_ptr& error) {
  if (!error) return Fault::none;
  try {
    std::rethrow_exception(error);
  } catch (const RemoteError&) {
    return Fault::remote;
  } catch (const MpiError&) {
    return Fault::mpi;
  } catch (...) {
    return Fault::own;
  }
}

std::string exception_text(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const std::exception& e) {
    return e.what();
  } catch (...) {
    return "an exception that is no std::exception";
  }
}

}  // namespace tartan
