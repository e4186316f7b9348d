#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <tartan/base/index.hpp>

namespace language_model {

using tartan::Index;

/// A vocabulary of byte pairs: tokens 0 to 255 are the bytes, and each further one is two before it, the pair that was
/// the most frequent within the words of the text when it was made (Sennrich et al. 2016). Words are what tokens never
/// reach across: a run of letters with the one space before it, or a run of bytes of another kind.
class BytePairs {
 public:
  /// Learns `size` tokens, at least 256, from `text`; fewer where no pair is left that occurs twice. The same text
  /// gives the same tokens: of equally frequent pairs the one of the lowest tokens is taken.
  BytePairs(std::string_view text, Index size);

  Index size() const noexcept { return static_cast<Index>(bytes_.size()); }
  std::vector<std::int32_t> encode(std::string_view text) const;
  std::string decode(std::span<const std::int32_t> tokens) const;

 private:
  struct Merge {
    std::int32_t left, right, made;
  };

  std::vector<std::int32_t> encode_word(std::string_view word) const;

  std::vector<std::string> bytes_;  ///< what each token stands for
  std::vector<Merge> merges_;       ///< sorted by the pair
};

}  // namespace language_model
