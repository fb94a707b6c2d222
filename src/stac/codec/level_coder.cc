#include <cstdlib>

#include "stac/base/check.h"
#include "stac/codec/context_coder_internal.h"
#include "stac/codec/label_coder.h"

namespace stac {
namespace {

constexpr int kInputs = 4;
constexpr int kRate = 5;
constexpr int kLimit = 60;
constexpr size_t kChecksumBytes = 2;

// -2..2: sign, and whether by one or more.
int Coarse(int difference) { return std::clamp(difference, -2, 2); }
// -4..4: 0, 1, 2, 3..5, more.
int Fine(int difference) {
  const int size = std::abs(difference);
  const int step = size <= 2 ? size : size <= 5 ? 3 : 4;
  return difference < 0 ? -step : step;
}

// Codes the difference of each level from a guess, as decisions "zero?", "negative?", "more?" ...,
// each in the light of the neighbours already coded (west, north) and of the previous map.
template <typename Coder>
class LevelCoder {
 public:
  LevelCoder(Coder& coder, const LevelMap* previous) : coder_(coder), previous_(previous) {}

  // Codes `levels` (encoder) or fills it (decoder). False if a value fell outside 0..127.
  bool Run(LevelMap& levels) {
    for (int y = 0; y < levels.height(); ++y) {
      for (int x = 0; x < levels.width(); ++x) {
        SetContext(levels, x, y);
        const int level = guess_ + Difference(levels(x, y) - guess_);
        if (level < 0 || level >= kMaxLevels) return false;
        levels(x, y) = static_cast<uint8_t>(level);
      }
    }
    return true;
  }

 private:
  static constexpr int kNodes = 12;
  static constexpr int kContexts = 9 * 9 * 9;

  void SetContext(const LevelMap& levels, int x, int y) {
    const auto at = [&](const LevelMap& map, int i, int j) {
      return static_cast<int>(map.Clamped(i, j));
    };
    const bool has_west = x > 0;
    const bool has_north = y > 0;
    const int start = previous_ != nullptr ? at(*previous_, x, y) : kMaxLevels / 8;
    const int west = has_west ? levels(x - 1, y) : has_north ? levels(x, y - 1) : start;
    const int north = has_north ? levels(x, y - 1) : west;
    const int north_west = has_west && has_north ? levels(x - 1, y - 1) : north;
    const int north_east = has_north && x + 1 < levels.width() ? levels(x + 1, y - 1) : north;
    const int plane =
        std::clamp(west + north - north_west, std::min(west, north), std::max(west, north));
    if (previous_ == nullptr) {
      guess_ = plane;
      context_[0] = Pair(Fine(west - guess_), Fine(north - guess_));
      context_[1] = Pair(Fine(north_east - guess_), Fine(north_west - guess_));
      context_[2] = Pair(Fine(last_difference_), 0);
      context_[3] = 0;
      return;
    }
    const int held = at(*previous_, x, y);
    // What the neighbours became, relative to what they were.
    const int drift_west = has_west ? west - at(*previous_, x - 1, y) : 0;
    const int drift_north = has_north ? north - at(*previous_, x, y - 1) : 0;
    guess_ = held;
    context_[0] = Pair(Fine(drift_west), Fine(drift_north)) * 9 + Fine(plane - guess_) + 4;
    context_[1] = Pair(Fine(west - guess_), Fine(north - guess_));
    context_[2] =
        Pair(Fine(at(*previous_, x + 1, y) - guess_), Fine(at(*previous_, x, y + 1) - guess_)) * 9 +
        Fine(drift_west) + 4;
    context_[3] = Pair(Fine(last_difference_), Coarse(north_east - guess_));
  }

  static int Pair(int a, int b) { return (a + 4) * 9 + b + 4; }

  bool Decide(bool bit, int node) {
    std::array<BitModel*, kInputs> models;
    for (int i = 0; i < kInputs; ++i) models[i] = &models_[i][node * kContexts + context_[i]];
    return Mixer<kInputs>::Code(coder_, bit, models, weights_[node], kRate, kLimit);
  }

  int Difference(int difference) {
    last_difference_ = 0;
    if (Decide(difference == 0, 0)) return 0;
    const bool negative = Decide(difference < 0, 1);
    int size = 1;
    while (size < kMaxLevels &&
           Decide(std::abs(difference) > size, std::min(size + 1, kNodes - 1))) {
      ++size;
    }
    last_difference_ = negative ? -size : size;
    return last_difference_;
  }

  Coder& coder_;
  const LevelMap* previous_;
  int guess_ = 0;
  int last_difference_ = 0;
  std::array<int, kInputs> context_{};
  std::array<std::vector<BitModel>, kInputs> models_ = [] {
    std::array<std::vector<BitModel>, kInputs> models;
    models.fill(std::vector<BitModel>(kNodes * kContexts));
    return models;
  }();
  std::array<Mixer<kInputs>::Weights, kNodes> weights_;
};

uint16_t Checksum(const LevelMap& levels) {
  return static_cast<uint16_t>(Hash64({levels.data(), levels.size()}));
}

}  // namespace

Bytes EncodeLevels(const LevelMap& levels, const LevelMap* previous) {
  STAC_CHECK(previous == nullptr || previous->SameSize(levels));
  ArithmeticEncoder encoder;
  LevelMap copy = levels;
  STAC_CHECK(LevelCoder(encoder, previous).Run(copy));
  ByteWriter writer;
  writer.U16(Checksum(levels));
  writer.Append(encoder.Finish());
  return writer.Release();
}

Result<LevelMap> DecodeLevels(ByteSpan bytes, int columns, int rows, int level_count,
                              const LevelMap* previous) {
  STAC_CHECK(columns > 0 && rows > 0 && level_count >= 1 && level_count <= kMaxLevels);
  STAC_CHECK(previous == nullptr || previous->SameSize(columns, rows));
  if (bytes.size() < kChecksumBytes) {
    return Fail("a level map of {} bytes is too short", bytes.size());
  }
  ByteReader reader(bytes);
  const uint16_t checksum = *reader.U16();
  ArithmeticDecoder decoder(reader.Rest());
  LevelMap levels(columns, rows);
  if (!LevelCoder(decoder, previous).Run(levels) || Checksum(levels) != checksum) {
    return Fail("a level map is damaged, or was coded against another previous map");
  }
  for (const uint8_t level : levels) {
    if (level >= level_count) {
      return Fail("a level map holds level {} of {}: the profiles differ", level, level_count);
    }
  }
  return levels;
}

}  // namespace stac
