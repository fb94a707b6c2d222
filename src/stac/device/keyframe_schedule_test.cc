#include "stac/device/keyframe_schedule.h"

#include <gtest/gtest.h>

#include <vector>

namespace stac {
namespace {

constexpr double kFps = 10;
constexpr Micros kFrame = 100'000;

// Runs `frames` frames against a server that answers each keyframe `turnaround` frames later.
std::vector<FrameId> Keyframes(KeyframeSchedule& schedule, int frames, int turnaround,
                               double processing_ms) {
  std::vector<FrameId> sent;
  for (FrameId i = 0; i < static_cast<FrameId>(frames); ++i) {
    const Micros now = i * kFrame;
    for (const FrameId id : std::vector<FrameId>(sent)) {
      if (id + turnaround == i) schedule.OnAnswered(id, now, processing_ms);
    }
    if (schedule.Due(now, kFps)) {
      schedule.OnPlanned(i, now, now);
      sent.push_back(i);
    }
  }
  return sent;
}

TEST(KeyframeScheduleTest, KeepsTheWantedRate) {
  KeyframeSchedule schedule({.keyframe_fps = 2.5});
  EXPECT_EQ(Keyframes(schedule, 20, 1, 10), (std::vector<FrameId>{0, 4, 8, 12, 16}));
}

TEST(KeyframeScheduleTest, RatesThatDoNotDivideTheFrameRateAreKeptOnAverage) {
  KeyframeSchedule schedule({.keyframe_fps = 4});
  EXPECT_EQ(Keyframes(schedule, 20, 1, 10).size(), 8u);
}

TEST(KeyframeScheduleTest, NeverFasterThanTheServerProcesses) {
  // The round trip is all processing: a second keyframe in flight would only wait there.
  KeyframeSchedule schedule({.keyframe_fps = 0});
  EXPECT_EQ(Keyframes(schedule, 20, 5, 500), (std::vector<FrameId>{0, 5, 10, 15}));
}

TEST(KeyframeScheduleTest, OpensTheWindowWhenTheNetworkIsTheDelay) {
  KeyframeSchedule schedule({.keyframe_fps = 0, .max_unanswered = 4});
  const auto sent =
      Keyframes(schedule, 40, 4, 100);  // 400 ms round trip, 100 ms of them processing
  EXPECT_EQ(schedule.window(), 4);
  EXPECT_GE(sent.size(), 34u);
}

TEST(KeyframeScheduleTest, ADroppedKeyframeIsNotReplacedUntilOlderOnesAreAnswered) {
  KeyframeSchedule schedule({.keyframe_fps = 0, .max_unanswered = 3});
  schedule.OnPlanned(0, 0, 0);
  schedule.OnAnswered(0, 5 * kFrame, 100);
  for (FrameId id = 5; id < 8; ++id) {
    ASSERT_TRUE(schedule.Due(id * kFrame, kFps));
    schedule.OnPlanned(id, id * kFrame, id * kFrame);
  }
  schedule.OnDropped(6);
  EXPECT_EQ(schedule.unanswered(), 2);
  EXPECT_EQ(schedule.window(), 2);
  EXPECT_FALSE(schedule.Due(8 * kFrame, kFps));
  schedule.OnAnswered(5, 10 * kFrame, 100);  // 500 ms, and only 100 of them processing
  EXPECT_EQ(schedule.window(), 3);
  EXPECT_EQ(schedule.unanswered(), 1);
  for (FrameId id = 7; id < 20; ++id) schedule.OnDropped(id);
  EXPECT_EQ(schedule.window(), 1);
  EXPECT_TRUE(schedule.Due(20 * kFrame, kFps));
}

TEST(KeyframeScheduleTest, WhoFellBehindDoesNotCatchUpInABurst) {
  KeyframeSchedule schedule({.keyframe_fps = 5});
  schedule.OnPlanned(0, 0, 0);
  schedule.OnAnswered(0, 20 * kFrame, 10);
  ASSERT_TRUE(schedule.Due(20 * kFrame, kFps));
  schedule.OnPlanned(20, 20 * kFrame, 20 * kFrame);
  schedule.OnAnswered(20, 20 * kFrame, 10);
  EXPECT_FALSE(schedule.Due(21 * kFrame, kFps));
  EXPECT_TRUE(schedule.Due(22 * kFrame, kFps));
}

TEST(KeyframeScheduleTest, AnAnswerStandsForOlderOnesToo) {
  KeyframeSchedule schedule({.keyframe_fps = 0, .max_unanswered = 3});
  for (FrameId id = 0; id < 3; ++id) schedule.OnPlanned(id, id * kFrame, id * kFrame);
  schedule.OnAnswered(1, 3 * kFrame, 10);
  EXPECT_EQ(schedule.unanswered(), 1);
}

TEST(KeyframeScheduleTest, OldRoundTripsAreForgotten) {
  KeyframeSchedule schedule({.keyframe_fps = 0, .max_unanswered = 4});
  FrameId id = 0;
  const auto answer_after = [&](Micros turnaround) {
    schedule.OnPlanned(id, 0, 0);
    schedule.OnAnswered(id++, turnaround, 100);
  };
  answer_after(100'000);
  EXPECT_EQ(schedule.window(), 1);
  for (int i = 0; i < 15; ++i) answer_after(400'000);
  EXPECT_EQ(schedule.window(), 1);  // the short one was not by chance, perhaps
  answer_after(400'000);
  EXPECT_EQ(schedule.window(), 4);
}

TEST(KeyframeScheduleTest, ANewLinkBeginsAnew) {
  KeyframeSchedule schedule({.keyframe_fps = 2});
  schedule.OnPlanned(0, 0, 0);
  EXPECT_FALSE(schedule.Due(kFrame, kFps));
  schedule.Reset();
  EXPECT_EQ(schedule.unanswered(), 0);
  EXPECT_TRUE(schedule.Due(kFrame, kFps));
}

TEST(KeyframeScheduleTest, UnansweredKeyframesExpire) {
  KeyframeSchedule schedule({.keyframe_fps = 0, .answer_timeout = 1'000'000});
  schedule.OnPlanned(3, 0, 0);
  EXPECT_FALSE(schedule.Due(kFrame, kFps));
  EXPECT_TRUE(schedule.ExpireUnanswered(1'000'000).empty());
  EXPECT_EQ(schedule.ExpireUnanswered(1'000'001), std::vector<FrameId>{3});
  EXPECT_TRUE(schedule.Due(2'000'000, kFps));
}

}  // namespace
}  // namespace stac
