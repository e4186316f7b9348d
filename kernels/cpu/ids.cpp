#include "kernels/ids.hpp"

#include <cstddef>

#include "base/element_types.hpp"

namespace tartan::kernels {

template <class I>
void find_bad_id(Cpu, const I* ids, Index count, std::span<const Index> bounds, std::optional<Index> allowed,
                 Index* first_bad) {
  std::size_t column = 0;
  for (Index i = 0; i < count; ++i) {
    const auto id = static_cast<Index>(ids[i]);
    if ((id < 0 || id >= bounds[column]) && id != allowed) {
      *first_bad = i;
      return;
    }
    if (++column == bounds.size()) column = 0;
  }
  *first_bad = -1;
}

#define TARTAN_INSTANTIATE(I) \
  template void find_bad_id(Cpu, const I*, Index, std::span<const Index>, std::optional<Index>, Index*);
TARTAN_FOR_EACH_ID_TYPE(TARTAN_INSTANTIATE)
#undef TARTAN_INSTANTIATE

}  // namespace tartan::kernels
