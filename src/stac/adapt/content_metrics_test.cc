#include "stac/adapt/content_metrics.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>
#include <random>

namespace stac {
namespace {

// Smooth structure with some noise, moved by `shift`.
Frame TestFrame(int width, int height, int shift, int noise = 8) {
  Frame frame(width, height);
  std::mt19937 random(3);
  for (int i = 0; i < 3; ++i) {
    const PlaneView& plane = frame.plane(i);
    for (int y = 0; y < plane.height; ++y) {
      for (int x = 0; x < plane.width; ++x) {
        const double wave = 60 * std::sin((x + shift) * 0.11) * std::cos(y * 0.07);
        frame.MutablePlane(i)[y * plane.stride + x] = static_cast<uint8_t>(
            128 + wave + static_cast<int>(random() % static_cast<unsigned>(noise)));
      }
    }
  }
  return frame;
}

// The definition: every coefficient by its double sum.
double PlainComplexity(const PlaneView& luma) {
  double sum = 0;
  for (int by = 0; by + 4 <= luma.height; by += 4) {
    for (int bx = 0; bx + 4 <= luma.width; bx += 4) {
      for (int v = 0; v < 4; ++v) {
        for (int u = 0; u < 4; ++u) {
          double s = 0;
          for (int y = 0; y < 4; ++y) {
            for (int x = 0; x < 4; ++x) {
              s += luma.At(bx + x, by + y) * std::cos((2 * x + 1) * u * std::numbers::pi / 8) *
                   std::cos((2 * y + 1) * v * std::numbers::pi / 8);
            }
          }
          s *= (u == 0 ? 0.5 : std::sqrt(0.5)) * (v == 0 ? 0.5 : std::sqrt(0.5));
          sum += std::log2(std::max(std::abs(s), 1.0));
        }
      }
    }
  }
  return sum;
}

TEST(ContentMetricsTest, ComplexityMatchesTheDefinition) {
  for (const auto& [width, height] : {std::pair{16, 16}, {130, 66}, {420, 18}}) {
    const Frame frame = TestFrame(width, height, 0);
    const double plain = PlainComplexity(frame.y());
    EXPECT_NEAR(FrameComplexity(frame.y()), plain, 1e-5 * plain);
  }
}

TEST(ContentMetricsTest, AFlatFrameHasOnlyItsMeans) {
  Frame frame(64, 32);
  for (int i = 0; i < 3; ++i) {
    std::fill_n(frame.MutablePlane(i), frame.plane(i).stride * frame.plane(i).height, 64);
  }
  // 128 blocks with one coefficient of 4 * 64 = 2^8.
  EXPECT_DOUBLE_EQ(FrameComplexity(frame.y()), 128 * 8);
  EXPECT_DOUBLE_EQ(FrameComplexity(frame.y(), 3), 128 * 8);
}

TEST(ContentMetricsTest, ExtremeSamplesDoNotOverflow) {
  Frame frame(1024, 16);
  for (int y = 0; y < 16; ++y) {
    for (int x = 0; x < 1024; ++x) {
      frame.MutablePlane(0)[y * frame.y().stride + x] = (x + y) % 2 == 0 ? 255 : 0;
    }
  }
  const double plain = PlainComplexity(frame.y());
  EXPECT_NEAR(FrameComplexity(frame.y()), plain, 1e-5 * plain);
}

TEST(ContentMetricsTest, SamplingIsCloseToAllBlocks) {
  const Frame frame = TestFrame(640, 352, 0);
  const double all = FrameComplexity(frame.y());
  EXPECT_NEAR(FrameComplexity(frame.y(), 2), all, 0.01 * all);
  EXPECT_NEAR(FrameComplexity(frame.y(), 4), all, 0.03 * all);
}

TEST(ContentMetricsTest, MoreDetailIsMoreComplex) {
  EXPECT_GT(FrameComplexity(TestFrame(128, 64, 0, 40).y()),
            1.2 * FrameComplexity(TestFrame(128, 64, 0, 2).y()));
}

TEST(ContentMetricsTest, DifferenceByHand) {
  const uint8_t now[] = {10, 20, 0, 255, 7, 7};
  const uint8_t before[] = {12, 10, 255, 0, 7, 99};
  // The third sample of each row is padding.
  EXPECT_EQ(FrameDifference({now, 2, 2, 3}, {before, 2, 2, 3}), 2 + 10 + 255 + 0);
}

TEST(ContentMeterTest, AveragesPerSegmentAndAcrossItsBorder) {
  ContentMeter meter(1);
  EXPECT_FALSE(meter.TakeAverage().has_value());
  const Frame a = TestFrame(64, 32, 0);
  const Frame b = TestFrame(64, 32, 1);
  const double c_a = FrameComplexity(a.y());
  const double c_b = FrameComplexity(b.y());
  const double d = FrameDifference(a.y(), b.y());
  meter.Add(a);
  meter.Add(b);
  meter.Add(b);
  auto average = meter.TakeAverage();
  ASSERT_TRUE(average);
  EXPECT_DOUBLE_EQ(average->c, (c_a + 2 * c_b) / 3);
  EXPECT_DOUBLE_EQ(average->d, d / 2);  // a-b, b-b
  meter.Add(a);                         // against b of the segment before
  EXPECT_DOUBLE_EQ(meter.TakeAverage()->d, d);
  EXPECT_DOUBLE_EQ(meter.TakeAverage()->d, d);  // no new frames
  meter.Add(TestFrame(32, 32, 0));              // another size
  EXPECT_EQ(meter.TakeAverage()->d, 0);
}

}  // namespace
}  // namespace stac
