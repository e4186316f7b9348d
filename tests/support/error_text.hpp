#pragma once

#include <string>

#include <tartan/base/error.hpp>

namespace tartan::testing {

/// The text of the Error that `call` throws; "no error" where it throws none.
template <class Call>
std::string error_text(Call call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

inline bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace tartan::testing
