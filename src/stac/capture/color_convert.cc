#include <algorithm>
#include <array>
#include <cmath>

#include "stac/base/check.h"
#include "stac/capture/image_io.h"

namespace stac {
namespace {

// Fixed-point numbers with 40 fractional bits: the rounding of the coefficients stays far below
// the smallest distance of an exact result from a tie, so that results are exactly rounded
// (halves up), the same on every machine.
constexpr int kBits = 40;
constexpr int64_t kHalf = int64_t{1} << (kBits - 1);
// Pushes exact ties, which coefficient rounding may leave just below one half, over it.
constexpr int64_t kTie = 1 << 13;

int64_t Fixed(double value) { return std::llround(std::ldexp(value, kBits)); }

uint8_t Round(int64_t fixed) {
  return static_cast<uint8_t>(std::clamp<int64_t>((fixed + kHalf + kTie) >> kBits, 0, 255));
}

// ITU-R BT.601 and BT.709: E'Y = Kr R + Kg G + Kb B, and 8-bit quantization (limited range: 16 +
// 219 E'Y and 128 + 224 E'C; full range, as in JPEG: 255 E'Y and 128 + 255 E'C).
struct Constants {
  double kr, kg, kb;
  double y_offset, y_scale, c_scale;
};
Constants ConstantsOf(ColorSpec color) {
  const double kr = color.matrix == ColorMatrix::kBt709 ? 0.2126 : 0.299;
  const double kb = color.matrix == ColorMatrix::kBt709 ? 0.0722 : 0.114;
  if (color.range == ColorRange::kFull) return {kr, 1 - kr - kb, kb, 0, 255, 255};
  return {kr, 1 - kr - kb, kb, 16, 219, 224};
}

}  // namespace

Frame FrameFromRgb(const RgbImage& image, ColorSpec color) {
  const Constants k = ConstantsOf(color);
  const double y_unit = k.y_scale / 255;
  const int64_t y_r = Fixed(k.kr * y_unit), y_g = Fixed(k.kg * y_unit), y_b = Fixed(k.kb * y_unit);
  const int64_t y_offset = Fixed(k.y_offset);
  // Chroma of the sum of four pixels.
  const double cb_unit = k.c_scale / 255 / (2 * (1 - k.kb)) / 4;
  const double cr_unit = k.c_scale / 255 / (2 * (1 - k.kr)) / 4;
  const int64_t cb_r = Fixed(-k.kr * cb_unit), cb_g = Fixed(-k.kg * cb_unit);
  const int64_t cb_b = -cb_r - cb_g;  // grey has no chroma, exactly
  const int64_t cr_g = Fixed(-k.kg * cr_unit), cr_b = Fixed(-k.kb * cr_unit);
  const int64_t cr_r = -cr_g - cr_b;
  const int64_t c_offset = Fixed(128);

  Frame frame(EvenFloor(image.width()), EvenFloor(image.height()), color);
  for (int y = 0; y < frame.height(); y += 2) {
    const Rgb* rows[2] = {image.Row(y).data(), image.Row(y + 1).data()};
    for (int k_row = 0; k_row < 2; ++k_row) {
      uint8_t* out = frame.MutablePlane(0) + static_cast<ptrdiff_t>(y + k_row) * frame.y().stride;
      for (int x = 0; x < frame.width(); ++x) {
        const Rgb p = rows[k_row][x];
        out[x] = Round(y_r * p.r + y_g * p.g + y_b * p.b + y_offset);
      }
    }
    uint8_t* out_b = frame.MutablePlane(1) + static_cast<ptrdiff_t>(y / 2) * frame.plane(1).stride;
    uint8_t* out_r = frame.MutablePlane(2) + static_cast<ptrdiff_t>(y / 2) * frame.plane(2).stride;
    for (int x = 0; x < frame.width() / 2; ++x) {
      const Rgb p = rows[0][2 * x], q = rows[0][2 * x + 1];
      const Rgb s = rows[1][2 * x], t = rows[1][2 * x + 1];
      const int r = p.r + q.r + s.r + t.r;
      const int g = p.g + q.g + s.g + t.g;
      const int b = p.b + q.b + s.b + t.b;
      out_b[x] = Round(cb_r * r + cb_g * g + cb_b * b + c_offset);
      out_r[x] = Round(cr_r * r + cr_g * g + cr_b * b + c_offset);
    }
  }
  return frame;
}

RgbImage RgbFromFrame(const Frame& frame) {
  STAC_CHECK(!frame.empty());
  const Constants k = ConstantsOf(frame.color());
  const double y_unit = 255 / k.y_scale;
  const double c_unit = 255 / k.c_scale;
  const int64_t y = Fixed(y_unit);
  const int64_t r_cr = Fixed(2 * (1 - k.kr) * c_unit);
  const int64_t b_cb = Fixed(2 * (1 - k.kb) * c_unit);
  const int64_t g_cr = Fixed(-2 * (1 - k.kr) * k.kr / k.kg * c_unit);
  const int64_t g_cb = Fixed(-2 * (1 - k.kb) * k.kb / k.kg * c_unit);
  const int y_offset = static_cast<int>(k.y_offset);

  RgbImage image(frame.width(), frame.height());
  for (int row = 0; row < frame.height(); ++row) {
    const uint8_t* in_y = frame.y().Row(row);
    const uint8_t* in_b = frame.plane(1).Row(row / 2);
    const uint8_t* in_r = frame.plane(2).Row(row / 2);
    Rgb* out = image.Row(row).data();
    for (int x = 0; x < frame.width(); x += 2) {
      const int cb = in_b[x / 2] - 128;
      const int cr = in_r[x / 2] - 128;
      const int64_t r = r_cr * cr;
      const int64_t g = g_cr * cr + g_cb * cb;
      const int64_t b = b_cb * cb;
      for (int i = 0; i < 2; ++i) {
        const int64_t luma = y * (in_y[x + i] - y_offset);
        out[x + i] = {Round(luma + r), Round(luma + g), Round(luma + b)};
      }
    }
  }
  return image;
}

}  // namespace stac
