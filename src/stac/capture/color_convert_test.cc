#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "stac/capture/image_io.h"

namespace stac {
namespace {

constexpr ColorSpec kAll[] = {{ColorMatrix::kBt601, ColorRange::kLimited},
                              {ColorMatrix::kBt601, ColorRange::kFull},
                              {ColorMatrix::kBt709, ColorRange::kLimited},
                              {ColorMatrix::kBt709, ColorRange::kFull}};

struct Sample {
  int y, cb, cr;
  friend bool operator==(const Sample&, const Sample&) = default;
};
std::ostream& operator<<(std::ostream& out, const Sample& s) {
  return out << s.y << "/" << s.cb << "/" << s.cr;
}

Sample Convert(Rgb rgb, const char* color) {
  const Frame frame = FrameFromRgb(RgbImage(16, 16, rgb), *ParseColorSpec(color));
  return {frame.y().At(7, 3), frame.plane(1).At(3, 1), frame.plane(2).At(3, 1)};
}

// The standards' formulas in floating point.
Rgb ExactRgb(ColorSpec color, int y, int cb, int cr) {
  const double kr = color.matrix == ColorMatrix::kBt709 ? 0.2126 : 0.299;
  const double kb = color.matrix == ColorMatrix::kBt709 ? 0.0722 : 0.114;
  const bool full = color.range == ColorRange::kFull;
  const double luma = full ? y : (y - 16) * 255.0 / 219;
  const double b = (cb - 128) * (full ? 1 : 255.0 / 224) * 2 * (1 - kb);
  const double r = (cr - 128) * (full ? 1 : 255.0 / 224) * 2 * (1 - kr);
  const auto round = [](double value) {
    return static_cast<uint8_t>(std::clamp(std::floor(value + 0.5), 0.0, 255.0));
  };
  return {round(luma + r), round(luma - (kr * r + kb * b) / (1 - kr - kb)), round(luma + b)};
}

TEST(ColorConvertTest, KnownColours) {
  // By hand: Y = 16 + 219 (Kr R + Kg G + Kb B), Cb = 128 + 224 (B - Y') / (2 (1 - Kb)).
  EXPECT_EQ(Convert({255, 255, 255}, "bt709/limited"), (Sample{235, 128, 128}));
  EXPECT_EQ(Convert({0, 0, 0}, "bt709/limited"), (Sample{16, 128, 128}));
  EXPECT_EQ(Convert({255, 0, 0}, "bt709/limited"), (Sample{63, 102, 240}));
  EXPECT_EQ(Convert({0, 255, 0}, "bt709/limited"), (Sample{173, 42, 26}));
  EXPECT_EQ(Convert({0, 0, 255}, "bt709/limited"), (Sample{32, 240, 118}));
  EXPECT_EQ(Convert({255, 0, 0}, "bt601/limited"), (Sample{81, 90, 240}));
  EXPECT_EQ(Convert({255, 255, 255}, "bt601/full"), (Sample{255, 128, 128}));
  EXPECT_EQ(Convert({255, 0, 0}, "bt601/full"), (Sample{76, 85, 255}));
  EXPECT_EQ(Convert({0, 0, 255}, "bt709/full"), (Sample{18, 255, 116}));
}

TEST(ColorConvertTest, GreyHasNoChromaAndComesBackExactly) {
  for (const ColorSpec color : kAll) {
    for (int grey = 0; grey < 256; ++grey) {
      const auto value = static_cast<uint8_t>(grey);
      const Frame frame = FrameFromRgb(RgbImage(16, 16, Rgb{value, value, value}), color);
      EXPECT_EQ(frame.plane(1).At(0, 0), 128);
      EXPECT_EQ(frame.plane(2).At(0, 0), 128);
      const Rgb back = RgbFromFrame(frame)(5, 5);
      EXPECT_EQ(back.r, back.g);
      EXPECT_EQ(back.g, back.b);
      EXPECT_LE(std::abs(back.r - grey), color.range == ColorRange::kFull ? 0 : 1);
    }
  }
}

TEST(ColorConvertTest, ToRgbIsTheFormulaRounded) {
  for (const ColorSpec color : kAll) {
    for (int y = 0; y < 256; y += 5) {
      for (int cb = 0; cb < 256; cb += 15) {
        Frame frame(36, 16, color);
        for (int x = 0; x < 18; ++x) {
          for (int row = 0; row < 8; ++row) {
            frame.MutablePlane(1)[row * frame.plane(1).stride + x] = static_cast<uint8_t>(cb);
            frame.MutablePlane(2)[row * frame.plane(2).stride + x] = static_cast<uint8_t>(x * 15);
          }
        }
        for (int row = 0; row < 16; ++row) {
          std::fill_n(frame.MutablePlane(0) + row * frame.y().stride, 36, static_cast<uint8_t>(y));
        }
        const RgbImage image = RgbFromFrame(frame);
        for (int x = 0; x < 18; ++x) {
          ASSERT_EQ(image(2 * x + 1, 9), ExactRgb(color, y, cb, x * 15))
              << ToString(color) << " " << y << " " << cb << " " << x * 15;
        }
      }
    }
  }
}

TEST(ColorConvertTest, ColoursSurviveTheRoundTrip) {
  for (const ColorSpec color : kAll) {
    int worst = 0;
    for (int r = 0; r < 256; r += 17) {
      for (int g = 0; g < 256; g += 17) {
        for (int b = 0; b < 256; b += 17) {
          const Rgb rgb{static_cast<uint8_t>(r), static_cast<uint8_t>(g), static_cast<uint8_t>(b)};
          const Rgb back = RgbFromFrame(FrameFromRgb(RgbImage(16, 16, rgb), color))(0, 0);
          worst =
              std::max({worst, std::abs(back.r - r), std::abs(back.g - g), std::abs(back.b - b)});
        }
      }
    }
    // Half a step of luma and of chroma, scaled by up to 255/219 and 1.86 * 255/224.
    EXPECT_LE(worst, 2) << ToString(color);
  }
}

TEST(ColorConvertTest, ChromaIsTheMeanOfFourPixelsAndOddEdgesAreCropped) {
  RgbImage image(17, 19, Rgb{0, 0, 0});
  image(2, 4) = {255, 0, 0};  // one of the four pixels of the chroma sample (1, 2)
  const Frame frame = FrameFromRgb(image, *ParseColorSpec("bt709/limited"));
  EXPECT_EQ(frame.width(), 16);
  EXPECT_EQ(frame.height(), 18);
  EXPECT_EQ(frame.plane(1).At(1, 2), 122);  // 128 - 25.66 / 4
  EXPECT_EQ(frame.plane(2).At(1, 2), 156);  // 128 + 112 / 4
  EXPECT_EQ(frame.plane(2).At(2, 2), 128);
}

}  // namespace
}  // namespace stac
