#include "progress.hpp"

#include <algorithm>
#include <sstream>
#include <string>

#include "support/catch.hpp"

using namespace word_vectors;

TEST_CASE("a terminal gets one rewritten line") {
  std::ostringstream out;
  double now = 100;
  Progress progress(out, true, 1000, [&] { return now; });
  now += 0.1;
  CHECK_FALSE(progress.due());
  progress.update(1, 4.0);
  CHECK(out.str().empty());
  now += 9.9;
  CHECK(progress.due());
  progress.update(250, 3.25);
  CHECK(out.str() == "\r 25.0 %       25 words/s  loss 3.2500  0:30 left");
  CHECK(progress.seconds() == 10);
  now += 0.01;
  progress.update(1000, 2.0);
  const auto text = out.str();
  CHECK(std::count(text.begin(), text.end(), '\r') == 2);
  CHECK(std::count(text.begin(), text.end(), '\n') == 1);
  const auto first = text.find('\r', 1);
  CHECK(text.size() - first - 2 == first - 1);  // the shorter last line is padded over the rest of the one before
}

TEST_CASE("anything else gets plain lines, seldom") {
  std::ostringstream out;
  double now = 0;
  Progress progress(out, false, 7200, [&] { return now; });
  for (int second = 1; second <= 7200; ++second) {
    now = second;
    progress.update(second, 1.0);
  }
  const auto text = out.str();
  CHECK(std::count(text.begin(), text.end(), '\r') == 0);
  const auto lines = std::count(text.begin(), text.end(), '\n');
  CHECK((700 <= lines && lines <= 730));
  CHECK(text.rfind("  0.0 %        1 words/s  loss 1.0000  1:59:58 left\n", 0) == 0);
  const std::string last = "\n100.0 %        1 words/s  loss 1.0000\n";
  CHECK(text.substr(text.size() - last.size()) == last);
}
