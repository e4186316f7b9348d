#pragma once

#include <cstdint>

#include <tartan/base/box.hpp>

#include "base/philox.hpp"
#include "kernels/accumulator.hpp"
#include "kernels/view.hpp"

namespace tartan::kernels {

/// Which elements of a global tensor are dropped, and what the others are multiplied with: a function of the stream
/// and of the element's row-major position.
struct DropoutMask {
  std::uint64_t seed;
  std::uint64_t name;
  std::uint64_t below;  ///< dropped where the position's 32 bits are
  double factor;        ///< of what is kept

  /// The random bits of a position and of its neighbours: four that begin at a multiple of four share them.
  constexpr PhiloxBlock bits(Index position) const {
    return random_bits(seed, name, static_cast<std::uint64_t>(position) / 4);
  }
  constexpr bool keeps(const PhiloxBlock& bits_there, Index position) const {
    return bits_there.words[position % 4] >= below;
  }
};

/// How many dimensions the tensors of dropout() may have.
inline constexpr int dropout_dimensions = 8;

/// out = mask · x for the elements of `box`, a part of a tensor of `shape`; `out` may be `x`.
template <class T>
void dropout(Cpu, const T* x, const Box& box, const Shape& shape, DropoutMask mask, T* out);
template <class T>
void dropout(Cuda, const T* x, const Box& box, const Shape& shape, DropoutMask mask, T* out);

/// From the row-major number of an element in a box to its position in the whole tensor.
class GlobalPositions {
 public:
  GlobalPositions(const Box& box, const Shape& shape) : dimensions_{box.dimensions()} {
    Index stride = 1;
    for (int dim = dimensions_ - 1; dim >= 0; --dim) {
      extents_[dim] = box[dim].extent();
      strides_[dim] = stride;
      start_ += box[dim].begin * stride;
      stride *= shape[dim];
    }
  }

  constexpr Index operator()(Index i) const {
    Index position = start_;
    for (int dim = dimensions_ - 1; dim >= 0; --dim) {
      position += i % extents_[dim] * strides_[dim];
      i /= extents_[dim];
    }
    return position;
  }

 private:
  int dimensions_;
  Index start_ = 0;
  Index extents_[dropout_dimensions];
  Index strides_[dropout_dimensions];
};

}  // namespace tartan::kernels
