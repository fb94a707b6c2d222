#include "stac/codec/motion_coder.h"

#include <cstdlib>

#include "stac/base/check.h"
#include "stac/codec/context_coder_internal.h"

namespace stac {
namespace {

constexpr int kInputs = 2;
constexpr int kRate = 5;
constexpr int kWindow = 100;
constexpr int kNodes = 16;  // decisions with models of their own: zero, sign, magnitude
constexpr int kContexts = 32;
constexpr int kMaxBits = 13;  // of a difference: 2 * kMaxShift fits

int Median(int a, int b, int c) { return std::max(std::min(a, b), std::min(std::max(a, b), c)); }

// 0, 1, 2 or more.
int Size(int difference) { return std::min(std::abs(difference), 2); }

template <typename Coder>
class MotionCoder {
 public:
  MotionCoder(Coder& coder, const Grid<Shift>* previous) : coder_(coder), previous_(previous) {}

  // Codes `motion` (encoder) or fills it (decoder). False if a value fell outside the limits.
  bool Run(Grid<Shift>& motion) {
    misses_ = Grid<uint8_t>(motion.width(), motion.height());
    for (int y = 0; y < motion.height(); ++y) {
      for (int x = 0; x < motion.width(); ++x) {
        const Shift expected = ExpectedShift(motion, previous_, x, y);
        SetContext(x, y);
        Shift& shift = motion(x, y);
        const int dx = Difference(shift.x - expected.x, 0);
        const int dy = Difference(shift.y - expected.y, 1 + Size(dx));
        if (std::abs(expected.x + dx) > kMaxShift || std::abs(expected.y + dy) > kMaxShift) {
          return false;
        }
        shift = {static_cast<int16_t>(expected.x + dx), static_cast<int16_t>(expected.y + dy)};
        misses_(x, y) = static_cast<uint8_t>(std::max(Size(dx), Size(dy)));
      }
    }
    return true;
  }

 private:
  // How far from what was expected the blocks around were.
  void SetContext(int x, int y) {
    const auto miss = [&](int i, int j) {
      return i < 0 || j < 0 || i >= misses_.width() ? 0 : int{misses_(i, j)};
    };
    around_ = {
        3 * miss(x - 1, y) + miss(x, y - 1),
        std::min(7, miss(x - 1, y) + miss(x, y - 1) + miss(x + 1, y - 1) + miss(x - 1, y - 1))};
  }

  bool Decide(bool bit, int node, int component) {
    std::array<BitModel*, kInputs> models;
    for (int i = 0; i < kInputs; ++i) {
      models[i] = &models_[static_cast<size_t>(component)][i][node][around_[i]];
    }
    return Mixer<kInputs>::Code(coder_, bit, models, weights_[node], kRate, kWindow);
  }

  // Zero; else the sign and an Exp-Golomb number: how many bits, then those below the leading one.
  int Difference(int difference, int component) {
    if (Decide(difference == 0, 0, component)) return 0;
    const bool negative = Decide(difference < 0, 1, component);
    const int size = std::abs(difference);
    int bits = 0;
    while (bits < kMaxBits && Decide(size >> (bits + 1) != 0, 2 + bits, component)) ++bits;
    int value = 1;
    for (int i = bits - 1; i >= 0; --i) {
      value = value << 1 | int{coder_.Code((size >> i & 1) != 0, 1u << 15)};
    }
    return negative ? -value : value;
  }

  using Models = std::array<std::array<std::array<BitModel, kContexts>, kNodes>, kInputs>;

  Coder& coder_;
  const Grid<Shift>* previous_;
  Grid<uint8_t> misses_;
  std::array<int, kInputs> around_{};
  std::array<Models, 4> models_;  // of x, and of y by how far x was off
  std::array<Mixer<kInputs>::Weights, kNodes> weights_;
};

}  // namespace

BlockMotion StillBlocks(int frame_width, int frame_height) {
  STAC_CHECK(frame_width > 0 && frame_height > 0);
  return {.then_from_now = Grid<Shift>((frame_width + kMotionBlock - 1) / kMotionBlock,
                                       (frame_height + kMotionBlock - 1) / kMotionBlock),
          .frame_width = frame_width,
          .frame_height = frame_height};
}

Shift ExpectedShift(const Grid<Shift>& motion, const Grid<Shift>* previous, int x, int y) {
  const auto before = [&](int i, int j) { return previous ? (*previous)(i, j) : Shift{}; };
  const auto expected = [&](int16_t Shift::*component) {
    const auto changed = [&](int i, int j) {
      return motion(i, j).*component - before(i, j).*component;
    };
    const int west = x > 0 ? changed(x - 1, y) : y > 0 ? changed(x, y - 1) : 0;
    const int north = y > 0 ? changed(x, y - 1) : west;
    const int east = y > 0 && x + 1 < motion.width() ? changed(x + 1, y - 1) : north;
    const int shift = before(x, y).*component + Median(west, north, east);
    return static_cast<int16_t>(std::clamp(shift, -kMaxShift, kMaxShift));
  };
  return {expected(&Shift::x), expected(&Shift::y)};
}

Bytes EncodeMotion(const BlockMotion& motion, const BlockMotion* previous) {
  STAC_CHECK(!previous || previous->then_from_now.SameSize(motion.then_from_now));
  ArithmeticEncoder encoder;
  Grid<Shift> copy = motion.then_from_now;
  STAC_CHECK(MotionCoder(encoder, previous ? &previous->then_from_now : nullptr).Run(copy));
  return encoder.Finish();
}

Result<BlockMotion> DecodeMotion(ByteSpan bytes, int width, int height,
                                 const BlockMotion* previous) {
  STAC_CHECK(width <= 16384 && height <= 16384);
  BlockMotion motion = StillBlocks(width, height);
  STAC_CHECK(!previous || previous->then_from_now.SameSize(motion.then_from_now));
  ArithmeticDecoder decoder(bytes);
  if (!MotionCoder(decoder, previous ? &previous->then_from_now : nullptr)
           .Run(motion.then_from_now)) {
    return Fail("the motion of {} bytes is damaged", bytes.size());
  }
  return motion;
}

}  // namespace stac
