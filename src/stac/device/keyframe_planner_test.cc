#include "stac/device/keyframe_planner.h"

#include <gtest/gtest.h>

namespace stac {
namespace {

TEST(KeyframePlannerTest, LevelsOfRegionsAreInterpolatedBetweenTheirCentres) {
  KeyframePlanner planner({.region_size = 32, .aq_strength = 0}, 80, 48);
  planner.SetLadder(LevelLadder(6, 20, 40));  // QP 20, 24, ..., 40
  const LevelMap levels(3, 2, {0, 2, 5, 1, 3, 4});
  const QpMap qp = planner.Plan(MakeGreyFrame(80, 48), &levels, 30, 30);
  ASSERT_EQ(qp.width(), 5);
  ASSERT_EQ(qp.height(), 3);
  // Centres of macroblocks are a quarter of a region off those of regions. A step of the QP is 2.
  EXPECT_NEAR(qp(0, 0), 20, 1);
  EXPECT_NEAR(qp(2, 0), 20 * 0.25 + 28 * 0.75, 2);
  EXPECT_NEAR(qp(4, 0), 28 * 0.25 + 40 * 0.75, 2);
  EXPECT_NEAR(qp(0, 2), 20 * 0.25 + 24 * 0.75, 2);
  EXPECT_NEAR(qp(4, 2), 37 * 0.25 + 35 * 0.75, 2);
}

TEST(KeyframePlannerTest, LargeFramesHaveLargeRegions) {
  EXPECT_EQ(KeyframePlanner({}, 480, 360).regions().region_size, 16);
  EXPECT_EQ(KeyframePlanner({}, 960, 540).regions().region_size, 32);
  EXPECT_EQ(KeyframePlanner({.region_size = 48}, 960, 540).regions().region_size, 48);
}

TEST(KeyframePlannerTest, MacroblocksOfASmallerFrameLieBetweenRegions) {
  KeyframePlanner planner({.aq_strength = 0}, 64, 32);
  planner.SetLadder(LevelLadder(6, 20, 40));  // QP 20, 24, ..., 40
  // At half size a macroblock's centre is where four regions meet: their mean.
  const LevelMap levels(4, 2, {0, 2, 5, 5, 2, 4, 3, 3});
  const QpMap half = planner.Plan(MakeGreyFrame(32, 16), &levels, 30, 30);
  EXPECT_EQ(half, QpMap(2, 1, {28, 36}));  // of 20, 28, 28, 36 and of 40, 40, 32, 32
  EXPECT_EQ(planner.Plan(MakeGreyFrame(32, 16), &levels, 34, 30), QpMap(2, 1, {32, 40}));
}

TEST(KeyframePlannerTest, QpsAreInterpolatedAtTheCentresOfMacroblocks) {
  KeyframePlanner planner({.aq_strength = 0}, 64, 64);
  planner.SetLadder(LevelLadder(6, 20, 40));
  const LevelMap levels(4, 4, {0, 3, 0, 3, 0, 3, 0, 3, 0, 3, 0, 3, 0, 3, 0, 3});  // QP 20 and 32
  // Centres 8, 24, 40 of 48 samples are 32/3, 32, 160/3 of 64: 1/6 of the way from the first
  // region's centre to the second's, half way, 5/6 of the way from the third's to the fourth's.
  const QpMap qp = planner.Plan(MakeGreyFrame(48, 48), &levels, 30, 30);
  EXPECT_EQ(qp, QpMap(3, 3, {22, 26, 30, 22, 26, 30, 22, 26, 30}));
  // A centre outside the outermost centres has the outermost QP: 8 of 16 samples is 32 of 64.
  const LevelMap rows(4, 4, {1, 1, 1, 1, 3, 3, 3, 3, 5, 5, 5, 5, 5, 5, 5, 5});
  EXPECT_EQ(planner.Plan(MakeGreyFrame(16, 16), &rows, 30, 30), QpMap(1, 1, {36}));
}

TEST(KeyframePlannerTest, AChangeOfTheBaseQpMovesOldLevels) {
  KeyframePlanner planner({.aq_strength = 0}, 64, 64);
  planner.SetLadder(LevelLadder(6, 20, 40));
  const LevelMap levels(4, 4, uint8_t{2});
  const QpMap qp = planner.Plan(MakeGreyFrame(64, 64), &levels, 36, 30);
  for (const uint8_t value : qp) EXPECT_EQ(value, 34);
}

TEST(KeyframePlannerTest, FirstFrameIsUniform) {
  KeyframePlanner planner({.aq_strength = 0, .middle_level_first = true}, 64, 32);
  planner.SetLadder(LevelLadder(5, 20, 40));
  for (const uint8_t value : planner.Plan(MakeGreyFrame(64, 32), nullptr, 22, 22))
    EXPECT_EQ(value, 30);
}

TEST(KeyframePlannerTest, FirstFrameIsFinerThanTheBaseQp) {
  KeyframePlanner planner({.aq_strength = 0, .first_frame_offset = -4}, 64, 32);
  for (const uint8_t value : planner.Plan(MakeGreyFrame(64, 32), nullptr, 30, 30)) {
    EXPECT_EQ(value, 26);
  }
}

TEST(KeyframePlannerTest, ExtremeWishesAreMetAsFarAsQpsGo) {
  const KeyframePlanner planner({.aq_strength = 0}, 64, 32);
  for (const auto& [wanted, given] : {std::pair(-30.0f, 1), {80.0f, 51}}) {
    for (const uint8_t value :
         planner.PlanWanted(MakeGreyFrame(64, 32), Grid<float>(4, 2, wanted))) {
      EXPECT_EQ(value, given);
    }
  }
}

// x265 has no use for a common parity.
TEST(KeyframePlannerTest, WithH265QpsAreThoseNearest) {
  const KeyframePlanner planner({.codec = VideoCodec::kH265, .aq_strength = 0}, 64, 16);
  const QpMap qp = planner.PlanWanted(MakeGreyFrame(64, 16),
                                      Grid<float>(4, 1, std::vector<float>{30, 31, 32.4f, 33}));
  EXPECT_EQ(qp, QpMap(4, 1, {30, 31, 32, 33}));
}

// What is flat shows errors, and hides fewer.
TEST(KeyframePlannerTest, FlatMacroblocksAreCodedFiner) {
  const KeyframePlanner planner({.aq_strength = 1}, 64, 32);
  const Frame grey = MakeGreyFrame(64, 32);
  Frame half(64, 32, grey.color());
  for (int p = 0; p < 3; ++p) {
    const auto plane = grey.plane(p);
    for (int y = 0; y < plane.height; ++y) {
      for (int x = 0; x < plane.width; ++x) {
        const bool busy = p == 0 && x >= 32 && (x + y) % 2 == 0;
        half.MutablePlane(p)[ptrdiff_t{half.plane(p).stride} * y + x] =
            busy ? uint8_t{250} : plane.At(x, y);
      }
    }
  }
  const QpMap qp = planner.PlanWanted(half, Grid<float>(4, 2, 30.0f));
  EXPECT_LT(qp(0, 0), qp(3, 0));
}

TEST(KeyframePlannerTest, EveryQpHasTheSameParity) {
  KeyframePlanner planner({.aq_strength = 0.6}, 64, 64);
  LevelMap levels(4, 4);
  for (size_t i = 0; i < levels.size(); ++i) levels[i] = static_cast<uint8_t>(i * 2);
  const QpMap qp = planner.Plan(MakeGreyFrame(64, 64), &levels, 30, 30);
  for (const uint8_t value : qp) EXPECT_EQ(value % 2, qp[0] % 2);
}

}  // namespace
}  // namespace stac
