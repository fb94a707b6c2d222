#include "stac/quant/level_ladder.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace stac {
namespace {

TEST(LevelLadderTest, SpreadsLevelsEvenly) {
  const LevelLadder ladder(5, 10, 50);
  EXPECT_EQ(ladder.Qp(0), 10);
  EXPECT_EQ(ladder.Qp(1), 20);
  EXPECT_EQ(ladder.Qp(4), 50);
  EXPECT_EQ(ladder.middle(), 2);
  EXPECT_EQ(ladder.NearestLevel(24.9), 1);
  EXPECT_EQ(ladder.NearestLevel(25), 1);  // half-way: the finer
  EXPECT_EQ(ladder.NearestLevel(25.1), 2);
  EXPECT_EQ(ladder.NearestLevel(-100), 0);
  EXPECT_EQ(ladder.NearestLevel(1e9), 4);
  EXPECT_EQ(ladder.NearestLevel(std::numeric_limits<double>::quiet_NaN()), 0);
}

TEST(LevelLadderTest, EveryLevelIsNearestToItsOwnQp) {
  for (const int count : {2, 7, 32, 128}) {
    const LevelLadder ladder(count, 10, 51);
    for (int level = 0; level < count; ++level) {
      EXPECT_EQ(ladder.NearestLevel(ladder.Qp(level)), level);
    }
  }
}

TEST(StepOfQpTest, IsThatOfH264) {
  EXPECT_DOUBLE_EQ(StepOfQp(0), 0.625);
  EXPECT_DOUBLE_EQ(StepOfQp(6), 1.25);
  EXPECT_NEAR(StepOfQp(4), 1.0, 0.01);
  EXPECT_NEAR(StepOfQp(51), 224, 4);
}

}  // namespace
}  // namespace stac
