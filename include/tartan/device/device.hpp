#pragma once

#include <string>

namespace tartan {

/// Where a buffer lives: a run-time property, never part of a type.
struct Device {
  enum class Kind { cpu, cuda };

  Kind kind = Kind::cpu;
  int ordinal = 0;  ///< which device of its kind on this node

  /// A CUDA device. Without a number each rank of a topology takes its own: its rank within the node, modulo the
  /// devices there.
  static constexpr Device cuda(int ordinal = any) { return {.kind = Kind::cuda, .ordinal = ordinal}; }
  static constexpr int any = -1;

  bool is_cpu() const { return kind == Kind::cpu; }
  std::string to_string() const {
    if (is_cpu()) return "cpu";
    return ordinal == any ? "cuda" : "cuda:" + std::to_string(ordinal);
  }
  friend bool operator==(const Device&, const Device&) = default;
};

}  // namespace tartan
