#include "kernels/elementwise.hpp"

#include "base/element_types.hpp"
#include "kernels/cuda/map.hpp"
#include "kernels/cuda/sum_tree.hpp"

namespace tartan::kernels {
namespace {

template <class T>
struct Constant {
  T value;
  __device__ T operator()(T, T) const { return value; }
};

template <class T>
struct Repeated {
  const T* value;
  __device__ T operator()(T, T) const { return *value; }
};

template <class T>
struct Sum {
  __device__ T operator()(T a, T b) const { return a + b; }
};

template <class T>
struct Product {
  __device__ T operator()(T a, T b) const { return a * b; }
};

template <class T>
struct Multiple {
  Accumulator<T> factor;
  __device__ T operator()(T a, T) const { return static_cast<T>(factor * static_cast<Accumulator<T>>(a)); }
};

template <class T>
struct Elements {
  const T* data;
  __device__ double operator()(Index i) const { return static_cast<double>(data[i]); }
};

template <class T>
struct Products {
  const T* a;
  const T* b;
  __device__ double operator()(Index i) const { return static_cast<double>(a[i]) * static_cast<double>(b[i]); }
};

}  // namespace

template <class T>
void fill(Cuda cuda, T* out, Index n, std::type_identity_t<T> value) {
  map<0, T>(cuda.stream, Constant<T>{value}, n, nullptr, nullptr, out);
}

template <class T>
void repeat(Cuda cuda, const T* value, Index n, T* out) {
  map<0, T>(cuda.stream, Repeated<T>{value}, n, nullptr, nullptr, out);
}

template <class T>
void add(Cuda cuda, const T* a, const T* b, Index n, T* out) {
  map<2, T>(cuda.stream, Sum<T>{}, n, a, b, out);
}

template <class T>
void multiply(Cuda cuda, const T* a, const T* b, Index n, T* out) {
  map<2, T>(cuda.stream, Product<T>{}, n, a, b, out);
}

template <class T>
void scale(Cuda cuda, const T* a, Accumulator<T> factor, Index n, T* out) {
  map<1, T>(cuda.stream, Multiple<T>{factor}, n, a, nullptr, out);
}

template <class T>
void sum(Cuda cuda, const T* a, Index n, T* out) {
  sum_of_terms(cuda.stream, Elements<T>{a}, n, 1.0, out);
}

template <class T>
void inner_product(Cuda cuda, const T* a, const T* b, Index n, double* out) {
  sum_of_terms(cuda.stream, Products<T>{a, b}, n, 1.0, out);
}

#define INSTANTIATE(T)                    \
  template void fill(Cuda, T*, Index, T); \
  template void inner_product(Cuda, const T*, const T*, Index, double*);
TARTAN_FOR_EACH_ELEMENT_TYPE(INSTANTIATE)
#undef INSTANTIATE

#define INSTANTIATE(T)                                            \
  template void repeat(Cuda, const T*, Index, T*);                \
  template void add(Cuda, const T*, const T*, Index, T*);         \
  template void multiply(Cuda, const T*, const T*, Index, T*);    \
  template void scale(Cuda, const T*, Accumulator<T>, Index, T*); \
  template void sum(Cuda, const T*, Index, T*);
TARTAN_FOR_EACH_FLOATING_TYPE(INSTANTIATE)
#undef INSTANTIATE

}  // namespace tartan::kernels
