#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "vectors.hpp"
#include "vocabulary.hpp"

namespace word_vectors {

/// Words of one kind: kings, places, food, ...
struct Category {
  std::string name;
  std::vector<std::string> words;
};

/// Ten categories whose words occur at least 20 times in the King James text.
const std::vector<Category>& king_james_categories();

/// The chance that a random number of `positive` exceeds a random one of `negative`, ties counted half: the area under
/// the ROC curve. Neither is empty.
double area_under_curve(std::span<const double> positive, std::span<const double> negative);

struct CategoryCheck {
  Index pairs = 0;            ///< same-category pairs of words that the vocabulary holds often enough
  std::optional<double> auc;  ///< none where there are fewer than `fewest_pairs`

  /// "category AUC 0.953", or why there is none.
  std::string to_string() const;
};

/// Fewer pairs than this give no number worth printing.
inline constexpr Index fewest_pairs = 50;
/// The check knows only words that occur this often.
inline constexpr Index checked_count = 20;

/// How well cosines tell pairs of words of the same category from random pairs of different words, both among the words
/// of count >= checked_count. 10,000 random pairs are drawn by `seed`; those of one category are left out.
CategoryCheck check_categories(const Vocabulary& vocabulary, const Vectors& vectors, std::uint64_t seed,
                               const std::vector<Category>& categories = king_james_categories());

}  // namespace word_vectors
