#include "stac/lab/segment_meter.h"

#include <gtest/gtest.h>

#include <cmath>

namespace stac {
namespace {

// Grey frames whose brightness grows by `step` from one to the next.
Clip GreyClip(int frames, double fps, int step) {
  Clip clip{.name = "grey", .fps = fps};
  for (int i = 0; i < frames; ++i) {
    Frame frame = MakeGreyFrame(32, 16);
    frame.id = i;
    const PlaneView& luma = frame.y();
    std::fill_n(frame.MutablePlane(0), luma.stride * luma.height, uint8_t(60 + step * i));
    clip.frames.push_back(std::move(frame));
  }
  return clip;
}

TEST(SegmentMeterTest, WholeSecondsOfRatesAccuracyAndContent) {
  const Clip clip = GreyClip(11, 4, 2);
  SegmentMeter meter(clip, 2);
  const LabelMap truth(2, 2, 0);
  LabelMap half = truth;
  half(0, 0) = half(1, 1) = 1;
  for (FrameId i = 0; i < 11; ++i) {
    // Second 0: 1000 bytes a frame; second 1: 500; half of the pixels wrong in one frame of four.
    const size_t uplink = i < 4 ? 1000 * (i + 1) : 4000 + 500 * (i - 3);
    meter.Add(i, truth, i == 5 ? half : truth, uplink, 100 * (i + 1));
  }
  ASSERT_EQ(meter.rows().size(), 2u);  // three frames of the third second are left
  const SegmentRow &first = meter.rows()[0], &second = meter.rows()[1];
  EXPECT_EQ(first.segment, 0);
  EXPECT_EQ(second.segment, 1);
  EXPECT_DOUBLE_EQ(first.video_kbps, 32);
  EXPECT_DOUBLE_EQ(first.kbps, 32 + 3.2);
  EXPECT_DOUBLE_EQ(second.video_kbps, 16);
  EXPECT_DOUBLE_EQ(first.accuracy, 1);
  EXPECT_DOUBLE_EQ(second.accuracy, 0.875);
  EXPECT_DOUBLE_EQ(second.d, 2 * 32 * 16);
  // Flat 4x4 blocks of brightness b: one coefficient 4 b in each of 32.
  const auto bits = [](double brightness) { return std::log2(4 * brightness); };
  EXPECT_NEAR(first.c, 32 * (bits(60) + bits(62) + bits(64) + bits(66)) / 4, 0.1);
}

TEST(SegmentMeterTest, RatesThatAreNotWholeNumbersOfFrames) {
  const Clip clip = GreyClip(25, 12.5, 0);
  SegmentMeter meter(clip, 2);
  const LabelMap labels(2, 2, 0);
  for (FrameId i = 0; i < 25; ++i) meter.Add(i, labels, labels, 1000 * (i + 1), 0);
  ASSERT_EQ(meter.rows().size(), 2u);  // 13 frames and 12
  for (const SegmentRow& row : meter.rows()) EXPECT_DOUBLE_EQ(row.video_kbps, 100);
}

}  // namespace
}  // namespace stac
