#include "options.hpp"
#include "support/text_files.hpp"

#include "support/catch.hpp"
#include "support/error_text.hpp"

using tartan::testing::contains;
using tartan::testing::error_text;
using namespace word_vectors;

namespace {

std::optional<Options> parse(std::vector<const char*> arguments) {
  arguments.insert(arguments.begin(), "word_vectors");
  return parse_options(static_cast<int>(arguments.size()), arguments.data());
}

}  // namespace

TEST_CASE("every option has its default") {
  const auto options = parse({}).value();
  CHECK_FALSE(options.grid);
  CHECK(options.grid_for(6) == tartan::Shape{1, 1, 6});
  CHECK(options.corpus == text_files::default_corpus());
  CHECK(options.output == "vectors.txt");
  CHECK(options.dimension == 128);
  CHECK(options.epochs == 5);
  CHECK(options.seed == 1);
  CHECK(options.minimum_count == 5);
  CHECK(options.learning_rate == 0.1);
  CHECK(options.storage == Storage::root);
  CHECK(options.sampling.batch == 4096);
  CHECK(options.sampling.window == 5);
  CHECK(options.sampling.negatives == 5);
  CHECK(options.sampling.subsample == 1e-3);
  CHECK(options.words.empty());
}

TEST_CASE("every option is read") {
  const auto options = parse({"--grid",          "2x1x4", "--corpus",        "text",
                              "--output",        "file",  "--dimension",     "7",
                              "--epochs",        "2",     "--seed",          "18446744073709551615",
                              "--batch",         "3",     "--words",         "King,Aaron\u2019s",
                              "--window",        "4",     "--negatives",     "6",
                              "--subsample",     "0",     "--minimum-count", "1",
                              "--learning-rate", "0.5",   "--storage",       "shard"})
                           .value();
  CHECK(options.grid_for(8) == tartan::Shape{2, 1, 4});
  CHECK(options.corpus == "text");
  CHECK(options.output == "file");
  CHECK(options.dimension == 7);
  CHECK(options.epochs == 2);
  CHECK(options.seed == 18446744073709551615u);
  CHECK(options.minimum_count == 1);
  CHECK(options.learning_rate == 0.5);
  CHECK(options.storage == Storage::shard);
  CHECK(options.sampling.batch == 3);
  CHECK(options.sampling.window == 4);
  CHECK(options.sampling.negatives == 6);
  CHECK(options.sampling.subsample == 0);
  CHECK(options.words == std::vector<std::string>{"king", "aaron's"});
  CHECK_FALSE(parse({"--output", "none"}).value().output);
  CHECK(parse({"--storage=replicate"}).value().storage == Storage::replicate);
}

TEST_CASE("a bad value is an error that names option, value and what it may be") {
  const std::vector<std::pair<const char*, std::vector<const char*>>> bad{
      {"grid",
       {"", "2", "2x1", "2x1x4x1", "2x1x4x", "x2x1", "2x1x0", "2x1x-4", "2x1x+4", "2X1X4", "2x 1x4", "axbxc",
        "2x1x99999999999"}},
      {"dimension", {"0", "-1", "1.5", "12a", "2147483648"}},
      {"epochs", {"0", "1e3"}},
      {"seed", {"-1", "18446744073709551616", "x"}},
      {"batch", {"0", ""}},
      {"window", {"0", "10001"}},
      {"negatives", {"0", "10001"}},
      {"minimum-count", {"0"}},
      {"subsample", {"-0.1", "1.1", "nan", "1e-3x"}},
      {"learning-rate", {"0", "inf", "-0.1"}},
      {"storage", {"Root", "all"}},
      {"words", {"king,,wine", "12", "two words"}},
      {"corpus", {""}},
      {"output", {""}},
  };
  for (const auto& [option, values] : bad) {
    for (const auto* value : values) {
      const auto argument = "--" + std::string(option) + "=" + value;
      const auto text = error_text([&] { parse({argument.c_str()}); });
      CHECK(text.rfind("--" + std::string(option) + " \"" + value + "\": expected ", 0) == 0);
    }
  }
  CHECK(error_text([] { parse({"--batch", "0"}); }) == "--batch \"0\": expected a whole number from 1 to 2147483647");
}

TEST_CASE("an argument that is no option is an error") {
  CHECK(contains(error_text([] { parse({"--colour", "red"}); }), "colour"));
  CHECK(contains(error_text([] { parse({"text"}); }), "\"text\""));
  CHECK(contains(error_text([] { parse({"--seed"}); }), "seed"));
}

TEST_CASE("a grid that does not multiply to the ranks is an error") {
  const auto options = parse({"--grid", "2x1x4"}).value();
  CHECK(error_text([&] { options.grid_for(6); }) == "--grid 2x1x4 has 8 ranks, but this job has 6");
}

TEST_CASE("help names every option, its default and how to launch") {
  CHECK_FALSE(parse({"--help"}));
  CHECK_FALSE(parse({"-h", "--batch", "0"}));
  const auto text = help_text();
  for (const char* part : {"mpiexec --oversubscribe",
                           "--grid",
                           "1x1xn",
                           "--corpus",
                           "kjv.txt",
                           "--output",
                           "vectors.txt",
                           "--dimension",
                           "128",
                           "--epochs",
                           "--seed",
                           "--batch",
                           "4096",
                           "--words",
                           "--window",
                           "--negatives",
                           "--subsample",
                           "1e-3",
                           "--minimum-count",
                           "--learning-rate",
                           "0.1",
                           "--storage",
                           "root"}) {
    CHECK(contains(text, part));
  }
}
