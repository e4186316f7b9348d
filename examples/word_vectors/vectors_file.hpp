#pragma once

#include <string>

#include "vectors.hpp"
#include "vocabulary.hpp"

namespace word_vectors {

/// Writes word2vec's text format: a line "V D", then per word, in the order of its id, the word and D numbers with one
/// space between, each the shortest decimal that reads back as the same float. The file appears whole or not at all: it
/// is written under a temporary name in the same directory and renamed. Where `path` is a link, the file it names is
/// replaced. Throws tartan::Error with the path and the system's reason; an old file is then as it was.
void write_vectors(const std::string& path, const Vocabulary& vocabulary, const Vectors& vectors);

/// Throws the error that write_vectors would throw before its first byte: to be asked before hours of training.
void require_writable(const std::string& path);

}  // namespace word_vectors
