#pragma once

#include <cstdint>
#include <optional>
#include <utility>

#include <tartan/autograd/operations.hpp>

namespace tartan {

/// A parameter under the distribution in which a layer applies it, which may differ from the one in which it is kept.
template <class T>
class AppliedParameter {
 public:
  /// No parameter: gives a null variable.
  AppliedParameter() = default;
  AppliedParameter(Variable<T> stored, Distribution applied)
      : stored_(std::move(stored)), applied_(std::move(applied)) {}

  const Variable<T>& stored() const noexcept { return stored_; }

  /// Collective where the parameter has changed since the last call and lies otherwise. Gradients flow back to
  /// stored().
  Variable<T> operator()() const {
    if (stored_.is_null()) return {};
    const auto version = stored_.value().version();
    if (!moved_ || moved_->version != version) moved_ = Moved{redistribute(stored_.value(), applied_), version};
    return redistributed(stored_, moved_->value);
  }

 private:
  struct Moved {
    DistributedTensor<T> value;
    std::uint64_t version;  ///< of what was moved
  };

  Variable<T> stored_;
  Distribution applied_;
  mutable std::optional<Moved> moved_;
};

}  // namespace tartan
