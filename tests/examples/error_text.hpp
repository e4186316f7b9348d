#pragma once

#include <string>

#include <tartan/base/error.hpp>

/// The text of the tartan::Error that `call` throws; "no error" where it throws none.
template <class Call>
std::string error_text(Call call) {
  try {
    call();
  } catch (const tartan::Error& error) {
    return error.what();
  }
  return "no error";
}

inline bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }
