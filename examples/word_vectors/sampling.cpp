#include "sampling.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

namespace word_vectors {
namespace {

constexpr Index most_tries = 64;

tartan::RandomStream stream(std::uint64_t seed, const char* purpose, Index epoch) {
  return {seed, fmt::format("word_vectors/{}/{}", purpose, epoch)};
}

std::vector<double> noise_weights(const Vocabulary& vocabulary) {
  std::vector<double> weights(static_cast<std::size_t>(vocabulary.size()));
  for (Index id = 0; id < vocabulary.size(); ++id) {
    weights[static_cast<std::size_t>(id)] = std::pow(static_cast<double>(vocabulary.count(id)), 0.75);
  }
  return weights;
}

std::vector<double> keep_probabilities(const Vocabulary& vocabulary, double subsample) {
  std::vector<double> keep(static_cast<std::size_t>(vocabulary.size()), 1.0);
  for (Index id = 0; subsample > 0 && id < vocabulary.size(); ++id) {
    const double share = static_cast<double>(vocabulary.count(id)) / static_cast<double>(vocabulary.kept_words());
    keep[static_cast<std::size_t>(id)] = std::sqrt(subsample / share) + subsample / share;
  }
  return keep;
}

}  // namespace

Epoch::Epoch(const Vocabulary& vocabulary, const Sentences& sentences, const SamplingOptions& options,
             std::uint64_t seed, Index epoch)
    : options_{options}, noise_{noise_weights(vocabulary)}, noise_bits_{stream(seed, "negatives", epoch)} {
  if (options.negatives > 0 && vocabulary.size() < 2) {
    throw tartan::Error("negative samples need at least two words that occur often enough (see --minimum-count)");
  }
  const auto keep = keep_probabilities(vocabulary, options.subsample);
  const auto keep_bits = stream(seed, "subsample", epoch);
  const auto reach_bits = stream(seed, "window", epoch);
  const auto shuffle_bits = stream(seed, "shuffle", epoch);

  std::vector<Index> positions;
  for (std::size_t s = 1; s < sentences.offsets.size(); ++s) {
    const auto begin = static_cast<Index>(kept_.size());
    positions.clear();
    for (Index p = sentences.offsets[s - 1]; p < sentences.offsets[s]; ++p) {
      const auto id = sentences.tokens[static_cast<std::size_t>(p)];
      if (keep_bits.uniform(p) >= keep[static_cast<std::size_t>(id)]) continue;
      kept_.push_back(id);
      positions.push_back(p);
    }
    const auto end = static_cast<Index>(kept_.size());
    for (Index place = begin; end - begin > 1 && place < end; ++place) {
      const Index reach = 1 + reach_bits.below(positions[static_cast<std::size_t>(place - begin)], options.window);
      centres_.push_back({place, std::max(begin, place - reach), std::min(end, place + reach + 1)});
    }
  }
  if (centres_.empty()) {
    throw tartan::Error(fmt::format(
        "epoch {} has nothing to learn from: no sentence keeps two words (see --minimum-count, --subsample)", epoch));
  }

  for (auto i = centre_count() - 1; i > 0; --i) {
    std::swap(centres_[static_cast<std::size_t>(i)], centres_[static_cast<std::size_t>(shuffle_bits.below(i, i + 1))]);
  }
  Index pairs = 0;
  for (Index i = 0; i < centre_count(); ++i) {
    if (i % options.batch == 0) first_pairs_.push_back(pairs);
    const auto& centre = centres_[static_cast<std::size_t>(i)];
    pairs += centre.last - centre.first - 1;
  }
  first_pairs_.push_back(pairs);
}

Batch Epoch::pairs(Index step) const {
  Batch batch{.first_pair = first_pairs_[static_cast<std::size_t>(step)], .pairs = {}};
  batch.pairs.reserve(static_cast<std::size_t>(first_pairs_[static_cast<std::size_t>(step + 1)] - batch.first_pair));
  const auto end = std::min(centre_count(), (step + 1) * options_.batch);
  for (Index i = step * options_.batch; i < end; ++i) {
    const auto& centre = centres_[static_cast<std::size_t>(i)];
    for (Index place = centre.first; place < centre.last; ++place) {
      if (place == centre.place) continue;
      batch.pairs.push_back({kept_[static_cast<std::size_t>(centre.place)], kept_[static_cast<std::size_t>(place)]});
    }
  }
  return batch;
}

std::vector<std::int32_t> Epoch::targets(Index first_pair, std::span<const Pair> pairs) const {
  std::vector<std::int32_t> ids;
  ids.reserve(pairs.size() * static_cast<std::size_t>(1 + options_.negatives));
  Index draw = first_pair * options_.negatives;
  for (const auto& pair : pairs) {
    ids.push_back(pair.context);
    for (Index k = 0; k < options_.negatives; ++k) ids.push_back(negative(draw++, pair.context));
  }
  return ids;
}

std::int32_t Epoch::negative(Index draw, std::int32_t positive) const {
  std::int32_t id = positive;
  for (Index attempt = 0; id == positive && attempt < most_tries; ++attempt) {
    id = noise_.draw(noise_bits_.bits(draw * most_tries + attempt));
  }
  if (id != positive) return id;
  return static_cast<std::int32_t>((positive + Index{1}) % noise_.size());
}

}  // namespace word_vectors
