#include "comm/exception_text.hpp"

#include <cxxabi.h>
#include <fmt/format.h>

#include <cstdlib>
#include <memory>
#include <new>
#include <stdexcept>
#include <typeinfo>

#include <tartan/base/error.hpp>

namespace tartan {
namespace {

std::string type_name(const std::exception& e) {
  const char* const name = typeid(e).name();
  int status = 0;
  const std::unique_ptr<char, decltype(&std::free)> readable{abi::__cxa_demangle(name, nullptr, nullptr, &status),
                                                             &std::free};
  return status == 0 ? readable.get() : name;
}

}  // namespace

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
  } catch (const std::bad_alloc&) {
    return "out of memory";
  } catch (const std::runtime_error& e) {
    return e.what();
  } catch (const std::logic_error& e) {
    return e.what();
  } catch (const std::exception& e) {
    return fmt::format("an exception of the type {}: {}", type_name(e), e.what());
  } catch (...) {
    return "an exception that is no std::exception";
  }
}

}  // namespace tartan
