#include "stac/capture/frame_scale.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

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

// The mean of the area that a new sample covers, in whole numbers of 1/256 sample.
uint8_t MeanOfCover(const PlaneView& in, int to_width, int to_height, int x, int y) {
  const auto begin = [](int i, int from, int to) { return int64_t{i} * from * 256 / to; };
  const auto overlap = [](int64_t a, int64_t b, int sample) {
    return std::max<int64_t>(0, std::min(b, (sample + 1) * 256L) - std::max(a, sample * 256L));
  };
  const int64_t left = begin(x, in.width, to_width), right = begin(x + 1, in.width, to_width);
  const int64_t top = begin(y, in.height, to_height), bottom = begin(y + 1, in.height, to_height);
  int64_t sum = 0;
  for (int j = 0; j < in.height; ++j) {
    for (int i = 0; i < in.width; ++i) {
      sum += overlap(left, right, i) * overlap(top, bottom, j) * in.At(i, j);
    }
  }
  const int64_t total = (right - left) * (bottom - top);
  return static_cast<uint8_t>((sum + total / 2) / total);
}

TEST(FrameScaleTest, MeansAreExactAtEveryRatio) {
  Frame frame(310, 166, {});
  std::mt19937 random(5);
  for (int y = 0; y < frame.height(); ++y) {
    for (int x = 0; x < frame.width(); ++x) {
      // Also the extremes, where a sum is largest.
      const auto value = y < 8 ? 255u : random() % 256;
      frame.MutablePlane(0)[y * frame.y().stride + x] = static_cast<uint8_t>(value);
    }
  }
  for (const Size size : {Size{232, 124}, Size{154, 84}, Size{78, 42}, Size{308, 164},
                          Size{34, 18}}) {  // the last: more than an eighth
    const Frame shrunk = ShrinkFrame(frame, size);
    for (int y = 0; y < size.height; y += 3) {
      for (int x = 0; x < size.width; x += 11) {
        ASSERT_EQ(shrunk.y().At(x, y), MeanOfCover(frame.y(), size.width, size.height, x, y))
            << size.width << ": " << x << ", " << y;
      }
    }
  }
}

TEST(FrameScaleTest, EnlargingKeepsRampsAndFlatPictures) {
  EXPECT_TRUE(SamePixels(EnlargeFrame(Filled(62, 46, 77), {202, 118}), Filled(202, 118, 77)));
  Frame ramp = Filled(32, 16, 128);
  ramp.id = 7;
  for (int y = 0; y < 16; ++y) {
    for (int x = 0; x < 32; ++x) {
      ramp.MutablePlane(0)[y * ramp.y().stride + x] = static_cast<uint8_t>(4 * x + 8 * y);
    }
  }
  const Frame large = EnlargeFrame(ramp, {64, 32});
  EXPECT_EQ(large.id, 7u);
  // A large sample's centre lies at (i + 1/2) / 2 - 1/2 of the small ones: 2 i - 1 and 4 j - 2.
  for (int y = 4; y < 28; ++y) {
    for (int x = 4; x < 60; ++x) ASSERT_EQ(large.y().At(x, y), 2 * x - 1 + 4 * y - 2);
  }
  EXPECT_TRUE(SamePixels(EnlargeFrame(ramp, {32, 16}), ramp));
}

TEST(FrameScaleTest, EnlargingClampsWhereTheFilterOvershoots) {
  Frame edge = Filled(32, 16, 0);
  for (int y = 0; y < 16; ++y) {
    std::fill_n(edge.MutablePlane(0) + y * edge.y().stride + 16, 16, uint8_t{255});
  }
  const Frame large = EnlargeFrame(edge, {64, 16});
  // t = 3/4 between samples 15 and 16, whose neighbours are equal to them: the weights of the
  // samples from 16 on are 0.8671875 - 0.0703125; before that the filter undershoots.
  EXPECT_EQ(large.y().At(31, 3), 52);   // 255 (0.2265625 - 0.0234375) = 51.8
  EXPECT_EQ(large.y().At(32, 3), 203);  // 255 (0.8671875 - 0.0703125) = 203.2
  EXPECT_EQ(large.y().At(30, 3), 0);    // 255 (-0.0703125): below black
  EXPECT_EQ(large.y().At(33, 3), 255);
}

TEST(FrameScaleTest, CodedSizesAreEvenAndKnownAgain) {
  EXPECT_EQ(CodedSize({1242, 374}, 1), (Size{1242, 374}));
  EXPECT_EQ(CodedSize({1242, 374}, 0.75), (Size{932, 280}));  // 931.5 and 280.5
  EXPECT_EQ(CodedSize({1920, 1080}, 0.25), (Size{480, 270}));
  EXPECT_EQ(CodedSize({64, 32}, 0.25), (Size{16, 16}));
  for (const Size full : {Size{1242, 374}, Size{64, 32}, Size{320, 1080}, Size{16, 16}}) {
    for (double scale = kMinScale; scale <= 1; scale += 0.01) {
      EXPECT_TRUE(IsCodedSize(full, CodedSize(full, scale))) << full.width << " " << scale;
    }
  }
  EXPECT_TRUE(IsCodedSize({1920, 1080}, {1440, 812}));   // within a sample
  EXPECT_FALSE(IsCodedSize({1920, 1080}, {1440, 816}));  // another aspect
  EXPECT_FALSE(IsCodedSize({1920, 1080}, {1441, 810}));  // odd
  EXPECT_FALSE(IsCodedSize({1920, 1080}, {476, 268}));   // below a quarter
  EXPECT_FALSE(IsCodedSize({1920, 1080}, {1924, 1082}));
  EXPECT_FALSE(IsCodedSize({64, 32}, {16, 14}));
}

TEST(FrameScaleTest, LabelsAreTakenAtPixelCentres) {
  LabelMap labels(6, 2, {0, 1, 2, 3, 4, 5, 10, 11, 12, 13, 14, 15});
  EXPECT_EQ(ShrinkLabels(labels, {2, 2}), LabelMap(2, 2, {1, 4, 11, 14}));
  EXPECT_EQ(CropLabels(labels, {4, 1}), LabelMap(4, 1, {0, 1, 2, 3}));
}

}  // namespace
}  // namespace stac
