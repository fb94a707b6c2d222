#include "stac/propagate/block_motion.h"

#include <gtest/gtest.h>

#include <random>

namespace stac {
namespace {

// A disc of class 1 on class 0.
LabelMap Disc(int width, int height, int x0, int y0) {
  LabelMap labels(width, height);
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      labels(x, y) = (x - x0) * (x - x0) + (y - y0) * (y - y0) < 400;
    }
  }
  return labels;
}

FlowField Uniform(int width, int height, Vec2 motion) {
  FlowField flow{.step = 4, .frame_width = width, .frame_height = height};
  flow.then_from_now = Grid<Vec2>((width + 3) / 4, (height + 3) / 4, motion);
  return flow;
}

TEST(MoveLabelsTest, AgreesWithTheDefinition) {
  std::mt19937 random(3);
  LabelMap then(50, 40);
  for (uint8_t& label : then) label = static_cast<uint8_t>(random() % 19);
  BlockMotion motion = StillBlocks(50, 40);
  for (Shift& shift : motion.then_from_now) {
    shift = {static_cast<int16_t>(random() % 41 - 20), static_cast<int16_t>(random() % 41 - 20)};
  }
  LabelMap now;
  MoveLabels(then, motion, now);
  for (int y = 0; y < 40; ++y) {
    for (int x = 0; x < 50; ++x) {
      const Shift shift = motion.then_from_now(x / 16, y / 16);
      EXPECT_EQ(now(x, y), then.Clamped(x + shift.x, y + shift.y));
    }
  }
}

TEST(FitBlockMotionTest, OnlyBoundariesNeedMotion) {
  const LabelMap then = Disc(320, 192, 100, 90), now = Disc(320, 192, 107, 84);
  const BlockMotion motion = FitBlockMotion(then, now, Uniform(320, 192, {-7, 6}), nullptr, 0);
  LabelMap moved;
  MoveLabels(then, motion, moved);
  EXPECT_EQ(moved, now);
  EXPECT_EQ(motion.then_from_now(0, 0), (Shift{0, 0}));  // nothing to move there
  EXPECT_LT(EncodeMotion(motion, nullptr).size(), 20u);
}

TEST(FitBlockMotionTest, ShiftsAreTheNearestWholeOnes) {
  const LabelMap then = Disc(320, 192, 100, 90), now = Disc(320, 192, 103, 87);
  const BlockMotion motion =
      FitBlockMotion(then, now, Uniform(320, 192, {-2.6f, 2.6f}), nullptr, 0);
  LabelMap moved;
  MoveLabels(then, motion, moved);
  EXPECT_EQ(moved, now);
  int with_motion = 0;
  for (const Shift& shift : motion.then_from_now) {
    if (shift == Shift{0, 0}) continue;
    ++with_motion;
    EXPECT_EQ(shift, (Shift{-3, 3}));
  }
  EXPECT_GT(with_motion, 0);
}

TEST(FitBlockMotionTest, ToleratesWhatItMay) {
  const LabelMap then = Disc(320, 192, 100, 90), now = Disc(320, 192, 101, 90);
  const FlowField flow = Uniform(320, 192, {-1, 0});
  for (const int tolerance : {0, 6, 256}) {
    const BlockMotion motion = FitBlockMotion(then, now, flow, nullptr, tolerance);
    LabelMap moved;
    MoveLabels(then, motion, moved);
    Grid<int> wrong(20, 12);
    for (int y = 0; y < 192; ++y) {
      for (int x = 0; x < 320; ++x) wrong(x / 16, y / 16) += moved(x, y) != now(x, y);
    }
    for (const int count : wrong) EXPECT_LE(count, tolerance);
    if (tolerance == 256) {
      EXPECT_EQ(motion.then_from_now, StillBlocks(320, 192).then_from_now);
    }
  }
}

TEST(FitBlockMotionTest, AbsurdFlowIsHarmless) {
  const LabelMap then = Disc(64, 48, 30, 20), now = Disc(64, 48, 40, 20);
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const BlockMotion motion = FitBlockMotion(then, now, Uniform(64, 48, {nan, 1e30f}), nullptr, 0);
  for (const Shift& shift : motion.then_from_now) {
    EXPECT_LE(std::abs(shift.x), kMaxShift);
    EXPECT_LE(std::abs(shift.y), kMaxShift);
  }
}

TEST(MotionToleranceTest, GrowsWithTheBaseQp) {
  EXPECT_EQ(MotionTolerance(20), 12);
  EXPECT_EQ(MotionTolerance(24), 24);
  EXPECT_EQ(MotionTolerance(31), 48);
}

}  // namespace
}  // namespace stac
