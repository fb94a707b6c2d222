#include "stac/capture/frame_scale.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace stac {
namespace {

Frame Filled(int width, int height, uint8_t value) {
  Frame frame(width, height, {ColorMatrix::kBt601, ColorRange::kFull});
  for (int i = 0; i < 3; ++i) {
    for (int y = 0; y < frame.plane(i).height; ++y) {
      std::fill_n(frame.MutablePlane(i) + y * frame.plane(i).stride, frame.plane(i).width, value);
    }
  }
  return frame;
}

TEST(FrameScaleTest, FitsIntoTheBoxWithEvenSizesAndNeverGrows) {
  EXPECT_EQ(FitInto({1242, 374}, 0, 0), (Size{1242, 374}));
  EXPECT_EQ(FitInto({1920, 1080}, 960, 0), (Size{960, 540}));
  EXPECT_EQ(FitInto({1920, 1080}, 0, 270), (Size{480, 270}));
  EXPECT_EQ(FitInto({1920, 1080}, 641, 641), (Size{640, 360}));
  EXPECT_EQ(FitInto({320, 200}, 4000, 4000), (Size{320, 200}));
  EXPECT_EQ(FitInto({4000, 100}, 400, 400), (Size{400, 16}));  // 10 lines would be too few
}

TEST(FrameScaleTest, EverySampleIsTheMeanOfWhatItCovers) {
  Frame frame = Filled(48, 32, 0);
  // Columns 0, 1, 2 of 48 become 0 and 1 of 32: column 0 covers 0 and half of 1.
  for (int y = 0; y < 32; ++y) {
    uint8_t* row = frame.MutablePlane(0) + y * frame.y().stride;
    row[0] = 30;
    row[1] = 90;
    row[2] = 120;
  }
  const Frame shrunk = ShrinkFrame(frame, {32, 32});
  EXPECT_EQ(shrunk.y().At(0, 5), 50);   // (30 + 45) / 1.5
  EXPECT_EQ(shrunk.y().At(1, 5), 110);  // (45 + 120) / 1.5
  EXPECT_EQ(shrunk.y().At(2, 5), 0);
  EXPECT_EQ(shrunk.color(), frame.color());
}

TEST(FrameScaleTest, FlatPicturesStayFlat) {
  const Frame frame = Filled(202, 118, 77);
  EXPECT_TRUE(SamePixels(ShrinkFrame(frame, {62, 46}), Filled(62, 46, 77)));
  EXPECT_TRUE(SamePixels(ShrinkFrame(frame, {202, 118}), frame));
}

TEST(FrameScaleTest, LabelsAreTakenAtPixelCentres) {
  LabelMap labels(6, 2, {0, 1, 2, 3, 4, 5, 10, 11, 12, 13, 14, 15});
  EXPECT_EQ(ShrinkLabels(labels, {2, 2}), LabelMap(2, 2, {1, 4, 11, 14}));
  EXPECT_EQ(CropLabels(labels, {4, 1}), LabelMap(4, 1, {0, 1, 2, 3}));
}

}  // namespace
}  // namespace stac
