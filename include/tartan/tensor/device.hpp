#pragma once

#include <string>

namespace tartan {

/// Where a buffer lives: a run-time property, never part of a type.
struct Device {
  enum class Kind { cpu, cuda };

  Kind kind = Kind::cpu;
  int ordinal = 0;  ///< which device of its kind on this node

  std::string to_string() const { return kind == Kind::cpu ? "cpu" : "cuda:" + std::to_string(ordinal); }
  friend bool operator==(const Device&, const Device&) = default;
};

}  // namespace tartan
