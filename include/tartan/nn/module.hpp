#pragma once

#include <string>
#include <vector>

#include <tartan/autograd/variable.hpp>

namespace tartan {

/// What has parameters. A parameter is a variable with a name; its placement is part of its distribution.
template <class T>
class Module {
 public:
  virtual ~Module() = default;

  const std::vector<Variable<T>>& parameters() const noexcept { return parameters_; }
  /// The parameter of that name; throws Error, naming those there are, where none has it.
  Variable<T> parameter(const std::string& name) const {
    std::string names;
    for (const auto& candidate : parameters_) {
      if (candidate.name() == name) return candidate;
      names += (names.empty() ? "" : ", ") + candidate.name();
    }
    throw Error("no parameter is named '" + name + "'; there are: " + names);
  }

 protected:
  Variable<T> add_parameter(std::string name, DistributedTensor<T> value) {
    parameters_.push_back(Variable<T>::parameter(std::move(name), std::move(value)));
    return parameters_.back();
  }
  /// Adds the parameters that `part`, a module which this one is made of, has now.
  void add_parameters_of(const Module& part) {
    parameters_.insert(parameters_.end(), part.parameters_.begin(), part.parameters_.end());
  }

 private:
  std::vector<Variable<T>> parameters_;
};

}  // namespace tartan
