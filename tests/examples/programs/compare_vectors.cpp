// compare_vectors A B TOLERANCE COSINE: two files of vectors in word2vec's text format have the same words in the same
// order, numbers that differ by no more than TOLERANCE, and rows whose cosine is at least 1 - COSINE.

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

struct Vectors {
  std::vector<std::string> words;
  std::vector<std::vector<double>> rows;
};

Vectors read(const char* path) {
  std::ifstream in(path);
  std::size_t words = 0;
  std::size_t dimension = 0;
  std::string line;
  if (!std::getline(in, line) || !(std::istringstream(line) >> words >> dimension) || words == 0 || dimension == 0) {
    throw std::runtime_error(std::string(path) + " has no header of two numbers");
  }
  Vectors vectors;
  while (std::getline(in, line)) {
    std::istringstream fields(line);
    vectors.words.emplace_back();
    vectors.rows.emplace_back();
    fields >> vectors.words.back();
    for (std::string number; fields >> number;) vectors.rows.back().push_back(std::stod(number));
    if (vectors.rows.back().size() != dimension) throw std::runtime_error(std::string(path) + ": " + line);
  }
  if (vectors.words.size() != words) throw std::runtime_error(std::string(path) + " has another number of words");
  return vectors;
}

double dot(const std::vector<double>& a, const std::vector<double>& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc != 5) throw std::runtime_error("usage: compare_vectors A B TOLERANCE COSINE");
  const auto a = read(argv[1]);
  const auto b = read(argv[2]);
  if (a.words != b.words || a.rows[0].size() != b.rows[0].size()) throw std::runtime_error("other words or dimensions");
  double worst = 0;
  double cosine = 1;
  for (std::size_t row = 0; row < a.rows.size(); ++row) {
    for (std::size_t i = 0; i < a.rows[row].size(); ++i) {
      const double difference = std::abs(a.rows[row][i] - b.rows[row][i]);
      if (!(difference <= worst)) worst = difference;
    }
    const double c =
        dot(a.rows[row], b.rows[row]) / std::sqrt(dot(a.rows[row], a.rows[row]) * dot(b.rows[row], b.rows[row]));
    if (!(c >= cosine)) cosine = c;
  }
  std::cout << a.words.size() << " words, largest difference " << worst << ", 1 - least cosine " << 1 - cosine << '\n';
  return worst <= std::stod(argv[3]) && cosine >= 1 - std::stod(argv[4]) ? 0 : 1;
} catch (const std::exception& error) {
  std::cerr << error.what() << '\n';
  return 2;
}
