#include "kernels/dropout.hpp"

#include "base/element_types.hpp"
#include "base/parallel.hpp"

namespace tartan::kernels {

template <class T>
void dropout(Cpu, const T* x, const Box& box, const Shape& shape, DropoutMask mask, T* out) {
  const GlobalPositions positions(box, shape);
  const Index n = box.elements();
  const Index row = box.dimensions() == 0 || n == 0 ? 1 : box[box.dimensions() - 1].extent();
  const auto factor = static_cast<Accumulator<T>>(mask.factor);
  parallel(n / row, row * static_cast<Index>(16 * sizeof(T)), [=](Index begin, Index end) {
    for (Index i = begin; i < end; ++i) {
      const Index first = positions(i * row);
      auto bits = mask.bits(first);
      for (Index c = 0; c < row; ++c) {
        if ((first + c) % 4 == 0) bits = mask.bits(first + c);
        const auto value = factor * static_cast<Accumulator<T>>(x[i * row + c]);
        out[i * row + c] = mask.keeps(bits, first + c) ? static_cast<T>(value) : T{};
      }
    }
  });
}

#define INSTANTIATE(T) template void dropout(Cpu, const T*, const Box&, const Shape&, DropoutMask, T*);
TARTAN_FOR_EACH_FLOATING_TYPE(INSTANTIATE)
#undef INSTANTIATE

}  // namespace tartan::kernels
