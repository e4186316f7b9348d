// Lookups in plain tensors of bfloat16 and half, and their adjoints, against the same on floats: rounded once.

#include <tartan/nn/local_embedding.hpp>
#include <tartan/nn/tensor_parallel_embedding.hpp>

#include "nn/local_tensors.hpp"

namespace tartan {
namespace {

using namespace testing;

constexpr Index V = 7;

template <class T>
Tensor<float> widened(const Tensor<T>& x) {
  Tensor<float> result(x.shape());
  std::ranges::transform(x.span(), result.data(), [](T value) { return static_cast<float>(value); });
  return result;
}

template <class T>
std::vector<T> rounded(const Tensor<float>& x) {
  std::vector<T> result;
  for (const float value : x.span()) result.push_back(T(value));
  return result;
}

TEMPLATE_TEST_CASE("lookups in plain tensors of half types are those of floats, rounded", "", bfloat16, half) {
  using T = TestType;
  for (const Index columns : {1, 5, 40}) {
    const Table<T> table({.num_embeddings = V, .embedding_dim = columns});
    auto weight = Tensor<T>::from({V, columns}, table.values);
    auto wide = widened(weight);
    for (const Shape& shape : {Shape{}, Shape{2, 3}, Shape{0}, Shape{5, 41}}) {
      INFO("ids " << shape.to_string() << ", " << columns << " columns");
      const auto list = some_ids(shape.elements(), V);
      const auto ids = ids_of<std::int32_t>(shape, list);
      CHECK(same_bits(functional::embedding(ids, std::as_const(weight)), table.looked_up(list)));

      const auto upstream = Tensor<T>::from(shape.appended(columns), some_upstream<T>(shape.elements() * columns));
      const auto wide_upstream = widened(upstream);
      for (const bool scaled : {false, true}) {
        const functional::EmbeddingOptions options{.padding_idx = 1, .scale_grad_by_freq = scaled};
        const auto dense = functional::embedding_dense_backward(ids, upstream, V, options);
        CHECK(same_bits(dense, rounded<T>(functional::embedding_dense_backward(ids, wide_upstream, V, options))));
        const auto sparse = functional::embedding_sparse_backward(ids, upstream, V, options);
        const auto expected = functional::embedding_sparse_backward(ids, wide_upstream, V, options);
        CHECK(sparse.rows == expected.rows);
        CHECK(same_bits(sparse.values, rounded<T>(expected.values)));
      }
    }
    const auto ids = ids_of<Index>({4}, {5, 0, 3, 5});
    for (const double norm_type : {1.0, 2.0}) {
      functional::renormalize_rows(ids, weight, 0.7, norm_type);
      functional::renormalize_rows(ids, wide, 0.7, norm_type);
      CHECK(same_bits(weight, rounded<T>(wide)));
      wide = widened(weight);
    }
    CHECK_FALSE(same_bits(weight, table.values));
  }
}

TEMPLATE_TEST_CASE("a tensor-parallel table of half types gives its rows", "", bfloat16, half) {
  using T = TestType;
  const Index n = world().size();
  const Table<T> table({.num_embeddings = 3 * n, .embedding_dim = 5});
  const auto part = static_cast<std::size_t>(15 * world().rank());
  const auto begin = table.values.begin() + static_cast<std::ptrdiff_t>(part);
  const auto shard = Tensor<T>::from({3, 5}, std::vector<T>(begin, begin + 15));
  const auto list = some_ids(17, 3 * n);
  const auto rows = functional::embedding(ids_of<Index>({17}, list), shard, {.tp_group = world()});
  CHECK(same_bits(rows, table.looked_up(list)));
}

}  // namespace
}  // namespace tartan
