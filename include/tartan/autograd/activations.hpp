#pragma once

#include <tartan/autograd/variable.hpp>

/// Element-wise functions of layers. The result is placed as x, and nothing is sent. x may not be Partial, since the
/// sum of its terms is not known on any rank: the same Error on every rank.
namespace tartan {

/// max(x, 0), with the gradient 0 where x <= 0; NaN stays.
template <class T>
Variable<T> relu(const Variable<T>& x);

enum class GeluForm {
  exact,  ///< x·Φ(x), Φ the distribution function of N(0, 1)
  tanh,   ///< Φ(x) as (1 + tanh(sqrt(2/π)·(x + 0.044715·x³))) / 2
};

/// The Gaussian error linear unit, computed in double. Hendrycks, Gimpel: Gaussian error linear units, 2016.
template <class T>
Variable<T> gelu(const Variable<T>& x, GeluForm form = GeluForm::exact);

/// x / (1 + exp(-x)), computed in double.
template <class T>
Variable<T> silu(const Variable<T>& x);

}  // namespace tartan
