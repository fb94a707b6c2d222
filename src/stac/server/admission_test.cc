#include "stac/server/admission.h"

#include <gtest/gtest.h>

namespace stac {
namespace {

constexpr int64_t kPixels = 640 * 480;

TEST(AdmissionTest, WithoutALimitEverybodyIsWelcome) {
  Admission admission({});
  admission.OnKeyframe(kPixels, 1e6);
  for (int device = 0; device < 100; ++device) {
    const auto verdict = admission.Admit(device, kPixels, 30);
    EXPECT_TRUE(verdict.accepted);
    EXPECT_EQ(verdict.max_keyframe_fps, 0);
    EXPECT_EQ(admission.Rate(device), 0);
  }
}

TEST(AdmissionTest, GivesTheFullRateThenWhatIsLeftThenRefuses) {
  // 50 ms a keyframe, 80 % of the time: 16 keyframes/s in all.
  Admission admission({.max_load = 0.8, .keyframe_fps = 5, .min_keyframe_fps = 1});
  admission.OnKeyframe(kPixels, 50);
  for (int device = 0; device < 3; ++device) {
    EXPECT_DOUBLE_EQ(admission.Admit(device, kPixels, 30).max_keyframe_fps, 5);
  }
  EXPECT_DOUBLE_EQ(admission.load(), 0.75);
  const auto last = admission.Admit(3, kPixels, 30);
  EXPECT_TRUE(last.accepted);
  EXPECT_NEAR(last.max_keyframe_fps, 1, 1e-9);
  const auto refused = admission.Admit(4, kPixels, 30);
  EXPECT_FALSE(refused.accepted);
  EXPECT_NE(refused.reason.find("4 devices take 80 %"), std::string::npos) << refused.reason;
  EXPECT_NEAR(admission.load(), 0.8, 1e-9);
}

TEST(AdmissionTest, WhoLeavesMakesRoom) {
  Admission admission({.max_load = 0.5});
  admission.OnKeyframe(kPixels, 100);
  EXPECT_TRUE(admission.Admit(1, kPixels, 30).accepted);
  EXPECT_FALSE(admission.Admit(2, kPixels, 30).accepted);
  admission.Leave(1);
  EXPECT_TRUE(admission.Admit(2, kPixels, 30).accepted);
}

TEST(AdmissionTest, WhoGotLessThanItAskedForGetsMoreWhenThereIsRoom) {
  Admission admission({.max_load = 0.8, .keyframe_fps = 5, .min_keyframe_fps = 1});
  admission.OnKeyframe(kPixels, 100);  // 8 keyframes/s in all
  EXPECT_DOUBLE_EQ(admission.Admit(1, kPixels, 30).max_keyframe_fps, 5);
  EXPECT_NEAR(admission.Admit(2, kPixels, 30).max_keyframe_fps, 3, 1e-9);
  EXPECT_DOUBLE_EQ(admission.Rate(1), 5);
  EXPECT_NEAR(admission.Rate(2), 3, 1e-9);
  admission.Leave(1);
  EXPECT_EQ(admission.Rate(1), 0);
  // 7.2 - 3 are left, half of which is more than it asked for.
  EXPECT_DOUBLE_EQ(admission.Rate(2), 5);
  EXPECT_NEAR(admission.load(), 0.5, 1e-9);
}

TEST(AdmissionTest, RaisedRatesApproachWhatIsLeftInStepsWorthTaking) {
  Admission admission({.max_load = 1, .keyframe_fps = 9, .min_keyframe_fps = 1});
  admission.OnKeyframe(kPixels, 100);  // 10 keyframes/s in all
  EXPECT_DOUBLE_EQ(admission.Admit(1, kPixels, 8).max_keyframe_fps, 8);
  EXPECT_NEAR(admission.Admit(2, kPixels, 30).max_keyframe_fps, 2, 1e-9);
  admission.Leave(1);
  EXPECT_TRUE(admission.Admit(3, kPixels, 3.5).accepted);
  EXPECT_NEAR(admission.Rate(2), 3.75, 1e-9);   // of 9 - 3.5 - 2 one half more
  EXPECT_NEAR(admission.Rate(2), 4.625, 1e-9);  // and so on
  EXPECT_NEAR(admission.Rate(2), 4.625, 1e-9);  // 0.4375 more are not worth it
}

TEST(AdmissionTest, LargerFramesCostMoreAndSlowCamerasLess) {
  Admission admission({.max_load = 0.8});
  admission.OnKeyframe(kPixels, 50);
  EXPECT_NEAR(admission.Admit(1, 4 * kPixels, 30).max_keyframe_fps, 4, 1e-9);  // 200 ms each
  Admission slow({.max_load = 0.8});
  slow.OnKeyframe(kPixels, 50);
  // A camera of half a frame per second asks for less than the least rate.
  EXPECT_DOUBLE_EQ(slow.Admit(1, kPixels, 0.5).max_keyframe_fps, 0.5);
}

TEST(AdmissionTest, BeforeTheFirstMeasurementTheFullRateIsGiven) {
  Admission admission({.max_load = 0.1});
  EXPECT_FALSE(admission.measured());
  EXPECT_EQ(admission.Admit(1, kPixels, 30).max_keyframe_fps, 5);
}

TEST(AdmissionTest, WhoComesFirstIsNotLockedOutByACostMeasuredTooHigh) {
  Admission admission({.max_load = 0.8, .keyframe_fps = 5, .min_keyframe_fps = 1});
  admission.OnKeyframe(kPixels, 5000);  // the host was busy
  const auto first = admission.Admit(1, kPixels, 30);
  EXPECT_TRUE(first.accepted);
  EXPECT_DOUBLE_EQ(first.max_keyframe_fps, 1);
  EXPECT_FALSE(admission.Admit(2, kPixels, 30).accepted);
  for (int i = 0; i < 200; ++i) admission.OnKeyframe(kPixels, 50);
  EXPECT_TRUE(admission.Admit(2, kPixels, 30).accepted);
}

TEST(AdmissionTest, ATinyFrameDoesNotMakePixelsDear) {
  Admission admission({.max_load = 0.8});
  admission.OnKeyframe(16 * 16, 2);  // as much as 128x128 pixels: 37.5 ms for the others' frames
  EXPECT_DOUBLE_EQ(admission.Admit(1, kPixels, 30).max_keyframe_fps, 5);
  EXPECT_NEAR(admission.load(), 5 * 0.0375, 1e-9);
  admission.Admit(2, 16 * 16, 30);
  EXPECT_NEAR(admission.load(), 5 * (0.0375 + 0.002), 1e-9);
}

TEST(AdmissionTest, TheCostFollowsWhatIsMeasured) {
  for (const double before : {500, 5}) {
    Admission admission({.max_load = 0.8});
    for (int i = 0; i < 300; ++i) admission.OnKeyframe(kPixels, i < 100 ? before : 50);
    EXPECT_TRUE(admission.Admit(1, kPixels, 30).accepted);
    EXPECT_NEAR(admission.load(), 0.25, 0.01);
  }
}

TEST(AdmissionTest, AMachineThatStoodStillForSecondsIsNotFull) {
  Admission admission({.max_load = 0.8});
  for (int i = 0; i < 100; ++i) admission.OnKeyframe(kPixels, 50);
  admission.OnKeyframe(kPixels, 6500);
  EXPECT_DOUBLE_EQ(admission.Admit(1, kPixels, 30).max_keyframe_fps, 5);
  EXPECT_NEAR(admission.load(), 5 * 0.0575, 1e-9);  // 50 + (200 - 50) / 20 ms
}

TEST(AdmissionTest, TheFirstKeyframesCountAlike) {
  Admission admission({.max_load = 0.8});
  for (const double ms : {90, 30, 60}) admission.OnKeyframe(kPixels, ms);
  EXPECT_TRUE(admission.Admit(1, kPixels, 30).accepted);
  EXPECT_NEAR(admission.load(), 5 * 0.06, 1e-9);
}

}  // namespace
}  // namespace stac
