// Lookups in plain tensors and their adjoints: every shape of ids, against loops and PyTorch's numbers; refusals.

#include <tartan/nn/local_embedding.hpp>

#include "nn/local_tensors.hpp"
#include "nn/options.hpp"
#include "oracles/dyadic.hpp"
#include "oracles/embedding_values.hpp"
#include "support/error_text.hpp"

namespace tartan {
namespace {

using namespace testing;

template <class T, class I>
void check_against_loops() {
  for (const Index columns : {1, 5, 16}) {
    const Table<T> table({.num_embeddings = 7, .embedding_dim = columns});
    const auto weight = Tensor<T>::from({7, columns}, table.values);
    for (const Shape& shape : {Shape{}, Shape{1}, Shape{4}, Shape{2, 3}, Shape{0}, Shape{3, 0, 2}, Shape{5, 41}}) {
      INFO("ids " << shape.to_string() << ", " << columns << " columns");
      const auto list = some_ids(shape.elements(), 7);
      const auto ids = ids_of<I>(shape, list);
      const auto out = functional::embedding(ids, weight, {.scale_grad_by_freq = true, .sparse = true});
      REQUIRE(out.shape() == shape.appended(columns));
      CHECK(same_bits(out, table.looked_up(list)));

      const auto numbers = some_upstream<T>(out.elements());
      const auto upstream = Tensor<T>::from(out.shape(), numbers);
      for (const bool scaled : {false, true}) {
        for (const auto& padding : {std::optional<Index>(), std::optional<Index>(1), std::optional<Index>(-7)}) {
          const functional::EmbeddingOptions options{.padding_idx = padding, .scale_grad_by_freq = scaled};
          const TableGradient<T> expected(list, scaled ? divided_by_counts(list, numbers, columns) : numbers, 7,
                                          columns, padding ? (*padding + 7) % 7 : -1);
          const auto dense = functional::embedding_dense_backward(ids, upstream, 7, options);
          REQUIRE(dense.shape() == Shape{7, columns});
          CHECK(same_bits(dense, expected.values));

          const auto sparse = functional::embedding_sparse_backward(ids, upstream, 7, options);
          CHECK(sparse.rows == expected.rows);
          std::vector<T> rows;
          for (const Index row : expected.rows) {
            const auto begin = expected.values.begin() + row * columns;
            rows.insert(rows.end(), begin, begin + columns);
          }
          CHECK(sparse.values.shape() == Shape{std::ssize(expected.rows), columns});
          CHECK(same_bits(sparse.values, rows));
        }
      }
    }
  }
}

TEST_CASE("a lookup in a plain tensor and its adjoints are the loops, for ids of every shape") {
  check_against_loops<float, std::int32_t>();
  check_against_loops<float, std::int64_t>();
  check_against_loops<double, std::int32_t>();
  check_against_loops<double, std::int64_t>();
}

TEST_CASE("an empty table, and a row without columns") {
  const Tensor<Index> none(Shape{0});
  CHECK(functional::embedding(none, Tensor<float>(Shape{0, 3})).shape() == Shape{0, 3});
  CHECK(functional::embedding_dense_backward(none, Tensor<float>(Shape{0, 3}), 0).shape() == Shape{0, 3});
  const Tensor<Index> two(Shape{2}, 1);
  CHECK(functional::embedding(two, Tensor<float>(Shape{4, 0})).shape() == Shape{2, 0});
  CHECK(functional::embedding_dense_backward(two, Tensor<float>(Shape{2, 0}), 4).shape() == Shape{4, 0});
}

TEST_CASE("max_norm shrinks the rows that are looked up of a weight that may change") {
  const std::vector<Index> list{3, 0, 3, 6};
  const auto ids = ids_of<std::int32_t>({2, 2}, list);
  for (const double p : {1.0, 2.0, 3.5, std::numeric_limits<double>::infinity()}) {
    Table<double> table({.num_embeddings = 7, .embedding_dim = 4});
    auto weight = Tensor<double>::from({7, 4}, table.values);
    renormalize(table, list, 0.5, p);
    const auto out = functional::embedding(ids, weight, {.max_norm = 0.5, .norm_type = p});
    const auto close = [](std::span<const double> a, const std::vector<double>& b) {
      return std::ranges::equal(a, b, [](double x, double y) { return std::abs(x - y) <= 1e-15; });
    };
    CHECK(close(std::as_const(weight).span(), table.values));
    CHECK(close(out.span(), table.looked_up(list)));
  }
}

template <class T>
void check_against_pytorch(const std::string& name, const functional::EmbeddingOptions& options) {
  INFO(name);
  const auto numbers = [](const std::vector<double>& values) { return std::vector<T>(values.begin(), values.end()); };
  const auto close = [](const Tensor<T>& a, const std::vector<double>& b) {
    return std::ranges::equal(a.span(), b, [](T x, double y) {
      return std::abs(static_cast<double>(x) - y) <= 8 * std::numeric_limits<T>::epsilon();
    });
  };
  const auto ids = ids_of<Index>({3, 4}, {4, 1, 1, 0, 3, 1, 4, 0, 5, 6, 1, 0});
  auto weight = Tensor<T>::from({8, 3}, numbers(dyadic(24, 7, 0, 11, 8)));
  const auto upstream = Tensor<T>::from({3, 4, 3}, numbers(dyadic(36, 5, 1, 13, 16)));
  const auto key = name + suffix<T>() + ": ";
  CHECK(close(functional::embedding(ids, weight, options), embedding_values.at(key + "output")));
  CHECK(close(weight, embedding_values.at(key + "weight")));
  CHECK(close(functional::embedding_dense_backward(ids, upstream, 8, options), embedding_values.at(key + "gradient")));
}

TEST_CASE("a lookup in a plain tensor gives PyTorch's numbers") {
  const std::map<std::string, functional::EmbeddingOptions> cases{
      {"plain", {}},
      {"padding_idx", {.padding_idx = -6}},
      {"max_norm", {.max_norm = 0.75}},
      {"max_norm 3.5", {.padding_idx = 4, .max_norm = 0.625, .norm_type = 3.5}},
      {"max_norm inf", {.max_norm = 0.5, .norm_type = std::numeric_limits<double>::infinity()}},
      {"scale and padding", {.padding_idx = 0, .scale_grad_by_freq = true}},
      {"all", {.padding_idx = -1, .max_norm = 0.75, .sparse = true}},
  };
  for (const auto& [name, options] : cases) {
    check_against_pytorch<float>(name, options);
    check_against_pytorch<double>(name, options);
  }
}

TEST_CASE("ids, options and shapes that a plain lookup does not take are refused before anything changes") {
  auto weight = Tensor<float>(Shape{7, 3}, 2.0F);
  const auto before = weight.clone();
  for (const Index bad : {Index{-1}, Index{7}, Index{1} << 40}) {
    auto ids = ids_of<Index>({2, 3}, {0, 1, 2, 3, bad, bad});
    const auto text = "id " + std::to_string(bad) +
                      " at position (1, 1) of the ids is out of range: the table has 7 rows, so ids are 0 to 6";
    CHECK(error_text([&] { functional::embedding(ids, weight); }) == text);
    CHECK(error_text([&] { functional::embedding(ids, weight, {.max_norm = 1}); }) == text);
    CHECK(error_text([&] { functional::renormalize_rows(ids, weight, 1); }) == text);
    const Tensor<float> upstream(Shape{2, 3, 3}, 1.0F);
    CHECK(error_text([&] { functional::embedding_dense_backward(ids, upstream, 7); }) == text);
    CHECK(error_text([&] { functional::embedding_sparse_backward(ids, upstream, 7); }) == text);
  }
  CHECK(contains(error_text([&] { functional::embedding(Tensor<std::int32_t>(Shape{}, 7), weight); }),
                 "id 7 at position () of the ids"));

  const auto ids = ids_of<std::int32_t>({3}, {0, 1, 2});
  const auto of = [&](functional::EmbeddingOptions options) {
    return error_text([&] { functional::embedding(ids, weight, options); });
  };
  for (const Index padding : {-8, 7}) {
    const auto text = "padding_idx " + std::to_string(padding) + " is out of range: the table has 7 rows";
    CHECK(of({.padding_idx = padding}) == text);
    CHECK(of({.padding_idx = padding, .max_norm = 1}) == text);
    CHECK(error_text([&] {
            functional::embedding_dense_backward(ids, Tensor<float>(Shape{3, 3}, 1.0F), 7, {.padding_idx = padding});
          }) == text);
  }
  CHECK(of({.max_norm = 0}) == "max_norm is 0, but must be positive");
  CHECK(of({.max_norm = 1, .norm_type = -1}) == "norm_type is -1, but must be positive");
  CHECK(std::ranges::equal(std::as_const(weight).span(), before.span()));

  CHECK(contains(error_text([&] { functional::embedding(ids, before, {.max_norm = 1}); }), "max_norm 1"));
  CHECK(contains(error_text([&] { functional::embedding(ids, Tensor<float>(Shape{7}, 1.0F)); }),
                 "not one of the shape (7)"));
  const auto refused = [&](const Shape& shape) {
    return error_text([&] { functional::embedding_dense_backward(ids, Tensor<float>(shape, 1.0F), 7); });
  };
  CHECK(contains(refused({4, 3}), "ids of the shape (3) has that shape with the row's extent appended, not (4, 3)"));
  CHECK(contains(refused({3}), "not (3)"));
  CHECK(contains(refused({}), "not ()"));
  CHECK(contains(error_text([&] {
                   functional::embedding_dense_backward(ids, Tensor<float>(Shape{3, 3}, 1.0F), -1);
                 }),
                 "-1 rows"));
}

}  // namespace
}  // namespace tartan
