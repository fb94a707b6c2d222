#include "stac/codec/motion_coder.h"

#include <gtest/gtest.h>

#include <random>

namespace stac {
namespace {

BlockMotion Noisy(int width, int height, double spread, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<double> noise(0, spread);
  BlockMotion motion = StillBlocks(width, height);
  for (Shift& shift : motion.then_from_now) {
    const auto limited = [](double value) {
      return static_cast<int16_t>(std::clamp<double>(value, -kMaxShift, kMaxShift));
    };
    shift = {limited(noise(random) + 3), limited(noise(random) - 7)};
  }
  return motion;
}

TEST(MotionCoderTest, RoundTripIsExact) {
  for (const double spread : {0.0, 2.0, 40.0, 9000.0}) {
    const BlockMotion motion = Noisy(250, 130, spread, 7);
    const BlockMotion previous = Noisy(250, 130, spread, 8);
    for (const BlockMotion* known : {static_cast<const BlockMotion*>(nullptr), &previous}) {
      const auto decoded = DecodeMotion(EncodeMotion(motion, known), 250, 130, known);
      ASSERT_TRUE(decoded) << decoded.error().message;
      EXPECT_EQ(decoded->then_from_now, motion.then_from_now);
      EXPECT_EQ(decoded->frame_width, 250);
    }
  }
}

// Blocks that go further and further together are expected to go on like that, beyond what there
// is.
TEST(MotionCoderTest, RoundTripIsExactAtTheLargestShifts) {
  BlockMotion before = Noisy(64, 64, 0, 1), now = before;
  for (Shift& shift : before.then_from_now) shift = {-kMaxShift, -kMaxShift};
  for (Shift& shift : now.then_from_now) shift = {kMaxShift, kMaxShift};
  const auto decoded = DecodeMotion(EncodeMotion(now, &before), 64, 64, &before);
  ASSERT_TRUE(decoded) << decoded.error().message;
  EXPECT_EQ(decoded->then_from_now, now.then_from_now);
}

TEST(MotionCoderTest, ExpectsEveryBlockToChangeAsItsNeighboursDid) {
  Grid<Shift> previous(3, 2), motion(3, 2);
  previous(1, 1) = {10, 20};
  motion(0, 0) = {1, 1};
  motion(1, 0) = {2, 5};
  motion(2, 0) = {3, 2};
  motion(0, 1) = {9, 2};
  EXPECT_EQ(ExpectedShift(motion, nullptr, 0, 0), (Shift{0, 0}));
  EXPECT_EQ(ExpectedShift(motion, nullptr, 1, 0), (Shift{1, 1}));
  EXPECT_EQ(ExpectedShift(motion, nullptr, 1, 1), (Shift{3, 2}));  // medians of 9 2 3, 2 5 2
  EXPECT_EQ(ExpectedShift(motion, &previous, 1, 1), (Shift{13, 22}));
}

TEST(MotionCoderTest, ExpectedMotionTakesAFewBytes) {
  const BlockMotion pan = Noisy(480, 352, 0, 1);
  EXPECT_LT(EncodeMotion(pan, nullptr).size(), 16u);
  const BlockMotion wild = Noisy(480, 352, 30, 1);
  EXPECT_LT(EncodeMotion(wild, &wild).size(), 16u);
  EXPECT_GT(EncodeMotion(wild, nullptr).size(), 500u);
}

TEST(MotionCoderTest, AnyBytesAreHarmless) {
  std::mt19937 random(1);
  int refused = 0;
  for (int i = 0; i < 300; ++i) {
    Bytes bytes(static_cast<size_t>(i));
    for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random());
    const auto decoded = DecodeMotion(bytes, 320, 240, nullptr);
    refused += !decoded;
    if (!decoded) continue;
    for (const Shift& shift : decoded->then_from_now) EXPECT_LE(std::abs(shift.x), kMaxShift);
  }
  EXPECT_GT(refused, 0);
}

}  // namespace
}  // namespace stac
