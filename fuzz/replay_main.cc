// Runs a fuzz target without libFuzzer:  NAME_fuzz CORPUS_FOLDER [MUTATIONS]
// First every file of the corpus, then so many seeded mutations of them: the same on every machine.

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <random>
#include <vector>

#include "stac/base/file.h"
#include "stac/base/log.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace {

using stac::Bytes;

void Run(const Bytes& input) { LLVMFuzzerTestOneInput(input.data(), input.size()); }

// One to four edits: flipped bits, bytes and numbers at the edge of their range, removed, repeated
// and foreign pieces.
Bytes Mutate(Bytes input, const std::vector<Bytes>& corpus, std::mt19937_64& random) {
  const auto below = [&](size_t limit) { return limit == 0 ? 0 : random() % limit; };
  for (size_t edits = 1 + below(4); edits > 0; --edits) {
    const size_t at = below(input.size());
    const size_t length = 1 + below(std::min<size_t>(16, input.size() - at));
    const auto from = input.begin() + static_cast<ptrdiff_t>(at);
    switch (input.empty() ? 5 : below(7)) {
      case 0:
        input[at] ^= static_cast<uint8_t>(1u << below(8));
        break;
      case 1:
        input[at] = static_cast<uint8_t>(random());
        break;
      case 2: {
        constexpr uint8_t kEdges[] = {0, 1, 0x7F, 0x80, 0xFE, 0xFF};
        const uint8_t edge = kEdges[below(std::size(kEdges))];
        for (size_t i = at; i < std::min(at + 4, input.size()); ++i) input[i] = edge;
        break;
      }
      case 3:
        input.erase(from, std::min(from + static_cast<ptrdiff_t>(length), input.end()));
        break;
      case 4:
        input.resize(at);
        break;
      case 5: {
        const Bytes& other = corpus[below(corpus.size())];
        const size_t cut = below(other.size());
        input.insert(
            input.begin() + static_cast<ptrdiff_t>(at), other.begin() + static_cast<ptrdiff_t>(cut),
            other.begin() +
                static_cast<ptrdiff_t>(cut + below(std::min<size_t>(64, other.size() - cut))));
        break;
      }
      default: {
        const Bytes piece(from, std::min(from + static_cast<ptrdiff_t>(length), input.end()));
        input.insert(input.begin() + static_cast<ptrdiff_t>(at), piece.begin(), piece.end());
      }
    }
  }
  return input;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: %s CORPUS_FOLDER [MUTATIONS]\n", argv[0]);
    return 2;
  }
  stac::SetUpLogging("off");
  std::vector<std::filesystem::path> paths;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(argv[1], error)) {
    paths.push_back(entry.path());
  }
  std::sort(paths.begin(), paths.end());
  std::vector<Bytes> corpus;
  for (const auto& path : paths) {
    auto input = stac::ReadFile(path);
    if (!input) {
      std::fprintf(stderr, "%s\n", input.error().message.c_str());
      return 1;
    }
    Run(*input);
    corpus.push_back(std::move(*input));
  }
  if (corpus.empty()) {
    std::fprintf(stderr, "no corpus in %s\n", argv[1]);
    return 1;
  }
  const int mutations = argc > 2 ? std::atoi(argv[2]) : 0;
  std::mt19937_64 random(1);
  for (int i = 0; i < mutations; ++i) {
    Run(Mutate(corpus[random() % corpus.size()], corpus, random));
  }
  std::printf("%zu inputs, %d mutations\n", corpus.size(), mutations);
  return 0;
}
