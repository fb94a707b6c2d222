#include "stac/device/flow_governor.h"

#include <gtest/gtest.h>

#include <cmath>

namespace stac {
namespace {

// A device on which flow at grid 4 takes `ms_at_4`, every doubling 3.5 times less, and the rest
// always the same.
constexpr double kRest = 2;
double TimeAt(int grid, double ms_at_4) { return ms_at_4 / std::pow(3.5, std::log2(grid / 4)); }

int Settle(FlowGovernor& governor, double ms_at_4, int frames) {
  for (int i = 0; i < frames; ++i) governor.OnFrame(TimeAt(governor.grid(), ms_at_4), kRest, 0);
  return governor.grid();
}

TEST(FlowGovernorTest, StaysFineWhereThereIsTime) {
  FlowGovernor governor({}, 33);
  EXPECT_EQ(governor.grid(), 4);
  EXPECT_EQ(Settle(governor, 5, 500), 4);
}

TEST(FlowGovernorTest, BecomesCoarserUntilFramesFit) {
  FlowGovernor fits_at_8({}, 33);
  EXPECT_EQ(Settle(fits_at_8, 25, 3), 8);  // 25 + 2 > 0.7 * 33, 7.1 + 2 is not
  FlowGovernor fits_at_16({}, 33);
  EXPECT_EQ(Settle(fits_at_16, 100, 6), 16);
  EXPECT_EQ(Settle(fits_at_16, 1000, 100), 16);  // never coarser than the coarsest
}

TEST(FlowGovernorTest, OneSlowFrameIsAnAccident) {
  FlowGovernor governor({}, 33);
  for (int i = 0; i < 300; ++i) governor.OnFrame(i % 3 == 0 ? 30 : 5, kRest, 0);
  EXPECT_EQ(governor.grid(), 4);
}

TEST(FlowGovernorTest, OneSlowFrameAtANewGridIsAnAccidentToo) {
  FlowGovernor governor({}, 33);
  for (int i = 0; i < 3; ++i) governor.OnFrame(30, kRest, 0);
  ASSERT_EQ(governor.grid(), 8);
  governor.OnFrame(30, kRest, 0);
  EXPECT_EQ(governor.grid(), 8);
}

TEST(FlowGovernorTest, LateLabelsCountWhateverTheFlowTook) {
  FlowGovernor governor({}, 33);
  for (int i = 0; i < 3; ++i) governor.OnFrame(5, kRest, 2);
  EXPECT_EQ(governor.grid(), 8);
}

TEST(FlowGovernorTest, BecomesFinerAgainWhenTheLoadIsGone) {
  FlowGovernor governor({}, 33);
  EXPECT_EQ(Settle(governor, 30, 3), 8);
  EXPECT_EQ(Settle(governor, 10, 119), 8);  // patience has doubled to 120 frames
  EXPECT_EQ(Settle(governor, 10, 1), 4);
}

TEST(FlowGovernorTest, HoweverOftenItWasDisappointedItTriesAgain) {
  FlowGovernor governor({}, 33);
  for (int round = 0; round < 20; ++round) {
    ASSERT_EQ(Settle(governor, 30, 3), 8);
    int calm = 0;
    while (governor.grid() == 8 && calm < 5000) Settle(governor, 5, 1), ++calm;
    ASSERT_LT(calm, 5000) << round;
  }
}

TEST(FlowGovernorTest, DoesNotTryWhatCannotFit) {
  FlowGovernor governor({}, 33);
  EXPECT_EQ(Settle(governor, 22, 3), 8);  // 24 ms are above 0.7 of 33 ms and above 0.6
  EXPECT_EQ(Settle(governor, 22, 5000), 8);
}

}  // namespace
}  // namespace stac
