#include "categories.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <tartan/base/random.hpp>
#include <utility>

namespace word_vectors {

const std::vector<Category>& king_james_categories() {
  static const std::vector<Category> categories{
      {"kings",
       {"solomon", "hezekiah", "josiah", "jehoshaphat", "ahab", "rehoboam", "jeroboam", "asa", "ahaz", "jehu", "joash",
        "amaziah"}},
      {"places",
       {"jerusalem", "samaria", "hebron", "jericho", "bethel", "gilgal", "bethlehem", "damascus", "lebanon", "gilead"}},
      {"peoples",
       {"philistines", "amorites", "hittites", "canaanites", "jebusites", "moab", "ammon", "edom", "midian", "amalek",
        "syrians"}},
      {"tribes",
       {"reuben", "simeon", "levi", "dan", "naphtali", "gad", "asher", "issachar", "zebulun", "benjamin", "ephraim",
        "manasseh"}},
      {"kin", {"father", "mother", "brother", "sister", "wife", "husband", "daughter", "sons", "daughters", "wives"}},
      {"food", {"bread", "wine", "oil", "corn", "honey", "milk", "flour", "wheat", "barley", "figs", "grapes"}},
      {"animals",
       {"ox", "sheep", "goats", "lamb", "ram", "bullock", "camels", "ass", "asses", "oxen", "lambs", "rams", "goat"}},
      {"body", {"eyes", "ears", "hand", "foot", "feet", "mouth", "tongue", "lips", "head", "face", "neck", "knees"}},
      {"numbers",
       {"two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "twelve", "twenty", "thirty"}},
      {"materials", {"gold", "silver", "brass", "iron", "stones", "wood", "linen", "purple", "scarlet", "blue"}},
  };
  return categories;
}

double area_under_curve(std::span<const double> positive, std::span<const double> negative) {
  std::vector<double> sorted(negative.begin(), negative.end());
  std::sort(sorted.begin(), sorted.end());
  double wins = 0;
  for (const double value : positive) {
    const auto [first, last] = std::equal_range(sorted.begin(), sorted.end(), value);
    wins += static_cast<double>(first - sorted.begin()) + 0.5 * static_cast<double>(last - first);
  }
  return wins / (static_cast<double>(positive.size()) * static_cast<double>(negative.size()));
}

CategoryCheck check_categories(const Vocabulary& vocabulary, const Vectors& vectors, std::uint64_t seed,
                               const std::vector<Category>& categories) {
  const Index known = vocabulary.frequent(checked_count);
  std::vector<std::vector<std::int32_t>> members;
  for (const auto& category : categories) {
    auto& ids = members.emplace_back();
    for (const auto& word : category.words) {
      const auto id = vocabulary.find(word);
      if (id && *id < known) ids.push_back(*id);
    }
  }
  const auto alike = [&](Index a, Index b) {
    return std::any_of(members.begin(), members.end(), [&](const auto& ids) {
      return std::find(ids.begin(), ids.end(), a) != ids.end() && std::find(ids.begin(), ids.end(), b) != ids.end();
    });
  };

  std::vector<double> same;
  for (const auto& ids : members) {
    for (std::size_t i = 0; i < ids.size(); ++i) {
      for (std::size_t j = 0; j < i; ++j) same.push_back(cosine(vectors[ids[i]], vectors[ids[j]]));
    }
  }
  CategoryCheck check{.pairs = static_cast<Index>(same.size()), .auc = {}};
  if (check.pairs < fewest_pairs) return check;

  const tartan::RandomStream draws(seed, "word_vectors/random pairs");
  std::vector<double> random;
  for (Index i = 0; i < 10'000; ++i) {
    const Index a = draws.below(2 * i, known);
    const Index b = draws.below(2 * i + 1, known);
    if (a != b && !alike(a, b)) random.push_back(cosine(vectors[a], vectors[b]));
  }
  if (!random.empty()) check.auc = area_under_curve(same, random);
  return check;
}

std::string CategoryCheck::to_string() const {
  return auc ? fmt::format("category AUC {:.3f}", *auc)
             : fmt::format(
                   "category AUC unknown: of the listed words, those that this corpus holds {} times or more make {} "
                   "pairs, and {} are needed",
                   checked_count, pairs, fewest_pairs);
}

}  // namespace word_vectors
