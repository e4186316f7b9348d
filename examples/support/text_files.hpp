#pragma once

#include <string>

/// The texts that examples learn from.
namespace text_files {

/// The corpus where none is asked for: the King James text that scripts/quickstart writes to the build folder.
std::string default_corpus();

/// Throws tartan::Error where there is no such file or directory, and says where the default one comes from.
void require_corpus(const std::string& path);

/// All bytes of a file. Throws tartan::Error, naming it, where it cannot be read.
std::string read(const std::string& path);

}  // namespace text_files
