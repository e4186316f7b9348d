#include <tartan/optim/optimizer.hpp>

#include "base/element_types.hpp"
#include "base/fail.hpp"
#include "kernels/updates.hpp"

namespace tartan {
namespace {

constexpr kernels::Cpu cpu;

void require_not_negative(const char* name, double value) {
  require(value >= 0, "{} is {}, but must be at least 0", name, value);
}

/// What an update needs of a gradient: its rows, local to the parameter's block (none: all of them, as one row).
template <class T>
struct Rows {
  std::vector<Index> rows;
  kernels::Matrix<const T> gradient{};
  Index columns = 0;

  explicit Rows(const Variable<T>& parameter) {
    if (const auto* sparse = std::get_if<RowSparse<T>>(&parameter.gradient())) {
      rows = sparse->rows;
      const Index first = parameter.value().box()[0].begin;
      for (Index& row : rows) row -= first;
      columns = sparse->values.shape()[1];
      gradient = {sparse->values.data(), sparse->values.shape()[0], columns, columns};
    } else {
      const auto& dense = std::get<DistributedTensor<T>>(parameter.gradient()).local();
      columns = dense.elements();
      gradient = {dense.data(), 1, columns, columns};
    }
  }

  const Index* index() const { return rows.empty() ? nullptr : rows.data(); }
  kernels::Matrix<T> of(Tensor<T>& tensor) const {
    return {tensor.data(), columns == 0 ? 0 : tensor.elements() / columns, columns, columns};
  }
};

}  // namespace

template <class T>
Optimizer<T>::Optimizer(std::vector<Variable<T>> parameters) : parameters_(std::move(parameters)) {
  for (const auto& parameter : parameters_) {
    require(parameter.is_parameter(), "an optimiser was given a variable that is no parameter");
    require(!parameter.distribution().any(Placement::Kind::partial),
            "an optimiser does not change the terms of '{}', a parameter of {}; redistribute it", parameter.name(),
            parameter.distribution().to_string());
  }
}

template <class T>
Sgd<T>::Sgd(std::vector<Variable<T>> parameters, SgdOptions options)
    : Optimizer<T>(std::move(parameters)), options_{options} {
  require_not_negative("learning_rate", options_.learning_rate);
}

template <class T>
void Sgd<T>::set_learning_rate(double learning_rate) {
  require_not_negative("learning_rate", learning_rate);
  options_.learning_rate = learning_rate;
}

template <class T>
void Sgd<T>::step() {
  for (auto& parameter : this->parameters_) {
    if (!parameter.has_gradient()) continue;
    const Rows<T> rows(parameter);
    parameter.modify([&](Tensor<T>& weight) {
      kernels::sgd_update(cpu, rows.index(), rows.gradient, static_cast<T>(options_.learning_rate), rows.of(weight));
    });
  }
}

template <class T>
Adagrad<T>::Adagrad(std::vector<Variable<T>> parameters, AdagradOptions options)
    : Optimizer<T>(std::move(parameters)), options_{options} {
  require_not_negative("learning_rate", options_.learning_rate);
  require_not_negative("epsilon", options_.epsilon);
  require_not_negative("initial_accumulator", options_.initial_accumulator);
  for (const auto& parameter : this->parameters_) {
    sums_.push_back(
        DistributedTensor<T>::constant(parameter.distribution(), static_cast<T>(options_.initial_accumulator)));
  }
}

template <class T>
void Adagrad<T>::set_learning_rate(double learning_rate) {
  require_not_negative("learning_rate", learning_rate);
  options_.learning_rate = learning_rate;
}

template <class T>
void Adagrad<T>::step() {
  for (std::size_t i = 0; i < sums_.size(); ++i) {
    auto& parameter = this->parameters_[i];
    if (!parameter.has_gradient()) continue;
    const Rows<T> rows(parameter);
    parameter.modify([&](Tensor<T>& weight) {
      sums_[i].modify([&](Tensor<T>& sum) {
        kernels::adagrad_update(cpu, rows.index(), rows.gradient, static_cast<T>(options_.learning_rate),
                                static_cast<T>(options_.epsilon), rows.of(sum), rows.of(weight));
      });
    });
  }
}

#define INSTANTIATE(T)         \
  template class Optimizer<T>; \
  template class Sgd<T>;       \
  template class Adagrad<T>;
TARTAN_FOR_EACH_FLOATING_TYPE(INSTANTIATE)
#undef INSTANTIATE

}  // namespace tartan
