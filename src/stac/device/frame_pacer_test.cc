#include "stac/device/frame_pacer.h"

#include <gtest/gtest.h>

namespace stac {
namespace {

TEST(FramePacerTest, FramesAreDueAtTheirTimesAfterTheFirst) {
  FramePacer pacer;
  EXPECT_EQ(pacer.Due(0, 1'000'000, 1'000'000), 1'000'000);
  EXPECT_EQ(pacer.Due(40'000, 1'001'000, 1'002'000), 1'040'000);
  EXPECT_EQ(pacer.Due(80'000, 1'002'000, 1'040'000), 1'080'000);
}

TEST(FramePacerTest, FramesThatWeAreTooLateForAreSkippedUntilItHasCaughtUp) {
  FramePacer pacer;
  ASSERT_EQ(pacer.Due(0, 0, 0), 0);
  EXPECT_EQ(pacer.Due(40'000, 1'000, 540'000), 40'000);
  EXPECT_EQ(pacer.Due(80'000, 2'000, 580'001), std::nullopt);
  EXPECT_EQ(pacer.Due(120'000, 3'000, 580'001), 120'000);
}

TEST(FramePacerTest, ASlowSourceIsWaitedForAndNotCaughtUpWith) {
  FramePacer pacer;
  ASSERT_EQ(pacer.Due(0, 0, 0), 0);
  pacer.OnStarved();
  EXPECT_EQ(pacer.Due(40'000, 3'000'000, 3'000'000), 3'000'000);
  EXPECT_EQ(pacer.Due(80'000, 3'000'500, 3'000'500), 3'040'000);
  // Starved of a frame that is not due yet.
  pacer.OnStarved();
  EXPECT_EQ(pacer.Due(120'000, 3'050'000, 3'050'000), 3'080'000);
}

}  // namespace
}  // namespace stac
