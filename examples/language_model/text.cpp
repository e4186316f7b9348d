#include "text.hpp"

#include <fmt/format.h>

#include <tartan/base/error.hpp>

#include "support/text_files.hpp"

namespace language_model {
namespace {

std::string read(const std::string& path) {
  text_files::require_corpus(path);
  return text_files::read(path);
}

}  // namespace

Text::Text(const Options& options) : Text(read(options.corpus), options) {}

Text::Text(const std::string& bytes, const Options& options)
    : vocabulary(bytes.substr(0, bytes.size() / 10 * 9), options.vocabulary),
      tokens(vocabulary.encode(bytes)),
      trained(static_cast<Index>(tokens.size()) / 10 * 9) {
  const auto rest = static_cast<Index>(tokens.size()) - trained;
  if (rest <= options.context) {
    throw tartan::Error(
        fmt::format("corpus {} has {} tokens: the tenth for validation is no longer than a context of {}",
                    options.corpus, tokens.size(), options.context));
  }
}

Batch::Batch(const tartan::Distribution& d, std::span<const std::int32_t> part, const std::vector<Index>& starts) {
  const auto token = [&](std::span<const Index> at, Index further) -> std::int32_t {
    const auto i = static_cast<std::size_t>(starts[static_cast<std::size_t>(at[0])] + at[1] + further);
    return i < part.size() ? part[i] : -100;
  };
  const auto made = [&](Index further, std::int32_t none) {
    return tartan::DistributedTensor<std::int32_t>::from_function(d, [&](std::span<const Index> at) {
      const auto found = token(at, further);
      return found < 0 ? none : found;
    });
  };
  tokens = made(0, 0);
  next = made(1, -100);
}

}  // namespace language_model
