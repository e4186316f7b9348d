#pragma once

#include <type_traits>

#include "kernels/accumulator.hpp"
#include "kernels/rows.hpp"

/// Optimiser steps on the rows that a plan hits, whose gradient is what fold_rows() gives: they have the bits of
/// fold_rows() and the step of kernels/updates.hpp, without the sums' way through memory.
namespace tartan::kernels {

/// sgd_update()
template <class T>
void sgd_rows(Cpu, const RowPlan& plan, std::type_identity_t<Contributions<T>> contributions, Accumulator<T> rate,
              Matrix<T> weight);
template <class T>
void sgd_rows(Cuda, const CudaRowPlan& plan, std::type_identity_t<Contributions<T>> contributions, Accumulator<T> rate,
              Matrix<T> weight);

/// adagrad_update()
template <class T>
void adagrad_rows(Cpu, const RowPlan& plan, std::type_identity_t<Contributions<T>> contributions, Accumulator<T> rate,
                  Accumulator<T> epsilon, Matrix<Accumulator<T>> sum, Matrix<T> weight);
template <class T>
void adagrad_rows(Cuda, const CudaRowPlan& plan, std::type_identity_t<Contributions<T>> contributions,
                  Accumulator<T> rate, Accumulator<T> epsilon, Matrix<Accumulator<T>> sum, Matrix<T> weight);

/// row_squares() and rowwise_adagrad_update()
template <class T>
void rowwise_adagrad_rows(Cpu, const RowPlan& plan, std::type_identity_t<Contributions<T>> contributions,
                          Accumulator<T> rate, Accumulator<T> epsilon, Accumulator<T>* sums, Matrix<T> weight);
template <class T>
void rowwise_adagrad_rows(Cuda, const CudaRowPlan& plan, std::type_identity_t<Contributions<T>> contributions,
                          Accumulator<T> rate, Accumulator<T> epsilon, Accumulator<T>* sums, Matrix<T> weight);

}  // namespace tartan::kernels
