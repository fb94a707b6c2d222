#include <gtest/gtest.h>

#include <cstring>

#include "stac/video/accuracy.h"
#include "stac/video/frame.h"
#include "stac/video/maps.h"

namespace stac {
namespace {

TEST(AccuracyTest, HandComputedExample) {
  ConfusionMatrix matrix(3);
  // truth:      0 0 1 1 1 (ignored) ; prediction: 0 1 1 1 200 0
  matrix.Add(LabelMap(6, 1, {0, 0, 1, 1, 1, kUnlabelled}), LabelMap(6, 1, {0, 1, 1, 1, 200, 0}));
  EXPECT_EQ(matrix.total(), 5);
  EXPECT_DOUBLE_EQ(matrix.PixelAccuracy(), 3.0 / 5);
  EXPECT_DOUBLE_EQ(matrix.Iou(0), 1.0 / 2);  // 1 right, 2 in truth, 1 predicted
  EXPECT_DOUBLE_EQ(matrix.Iou(1), 2.0 / 4);  // 2 right, 3 in truth, 3 predicted
  EXPECT_DOUBLE_EQ(matrix.Iou(2), -1);       // absent: does not count
  EXPECT_DOUBLE_EQ(matrix.MeanIou(), 0.5);
}

TEST(AccuracyTest, TakesAsManyClassesAsLabelsHave) {
  ConfusionMatrix matrix(kUnlabelled);
  matrix.Add(LabelMap(3, 1, {254, 254, kUnlabelled}), LabelMap(3, 1, {254, kUnlabelled, 254}));
  EXPECT_EQ(matrix.total(), 2);
  EXPECT_DOUBLE_EQ(matrix.PixelAccuracy(), 1.0 / 2);
}

TEST(FrameTest, PixelsAreComparedWithoutPadding) {
  Frame a(18, 16), b(18, 16);
  for (Frame* frame : {&a, &b}) {
    for (int i = 0; i < 3; ++i) {
      std::memset(frame->MutablePlane(i), frame == &a ? 1 : 2,
                  static_cast<size_t>(frame->plane(i).stride) * frame->plane(i).height);
      for (int y = 0; y < frame->plane(i).height; ++y) {
        std::memset(frame->MutablePlane(i) + y * frame->plane(i).stride, 7, frame->plane(i).width);
      }
    }
  }
  EXPECT_TRUE(SamePixels(a, b));
  EXPECT_EQ(HashPixels(a), HashPixels(b));
  EXPECT_EQ(LumaPsnr(a, b), 99.0);
  b.MutablePlane(2)[0] = 8;
  EXPECT_FALSE(SamePixels(a, b));
  EXPECT_NE(HashPixels(a), HashPixels(b));
}

TEST(FrameTest, ColourNamesRoundTrip) {
  for (const char* name : {"bt601/limited", "bt709/full"}) {
    EXPECT_EQ(ToString(*ParseColorSpec(name)), name);
  }
  EXPECT_FALSE(ParseColorSpec("bt2020/full"));
}

TEST(RegionGridTest, LastRegionsMayReachOverTheBorder) {
  const RegionGrid regions{.frame_width = 1242, .frame_height = 374, .region_size = 32};
  EXPECT_EQ(regions.columns(), 39);
  EXPECT_EQ(regions.rows(), 12);
  EXPECT_EQ(regions.mb_columns(), 78);
}

}  // namespace
}  // namespace stac
