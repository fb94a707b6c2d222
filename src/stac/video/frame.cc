#include "stac/video/frame.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "stac/base/bytes.h"
#include "stac/base/check.h"

namespace stac {

std::string ToString(const ColorSpec& color) {
  return std::string(color.matrix == ColorMatrix::kBt601 ? "bt601" : "bt709") +
         (color.range == ColorRange::kFull ? "/full" : "/limited");
}

Result<ColorSpec> ParseColorSpec(const std::string& text) {
  for (const auto matrix : {ColorMatrix::kBt601, ColorMatrix::kBt709}) {
    for (const auto range : {ColorRange::kLimited, ColorRange::kFull}) {
      const ColorSpec color{matrix, range};
      if (ToString(color) == text) return color;
    }
  }
  return Fail("unknown colour '{}': use bt601 or bt709, then /limited or /full", text);
}

Frame::Frame(int width, int height, ColorSpec color)
    : width_(width), height_(height), color_(color) {
  STAC_CHECK(width % 2 == 0 && height % 2 == 0);
  STAC_CHECK(width >= 16 && width <= 16384 && height >= 16 && height <= 16384);
  // Rows start at multiples of 64 bytes, so that vector code need not care.
  const int stride_y = (width + 63) / 64 * 64;
  const int stride_c = (width / 2 + 63) / 64 * 64;
  const size_t size_y = static_cast<size_t>(stride_y) * height;
  const size_t size_c = static_cast<size_t>(stride_c) * (height / 2);
  std::shared_ptr<uint8_t> buffer(
      static_cast<uint8_t*>(::operator new (size_y + 2 * size_c, std::align_val_t{64})),
      [](uint8_t* p) { ::operator delete (p, std::align_val_t{64}); });
  planes_[0] = {buffer.get(), width, height, stride_y};
  planes_[1] = {buffer.get() + size_y, width / 2, height / 2, stride_c};
  planes_[2] = {buffer.get() + size_y + size_c, width / 2, height / 2, stride_c};
  owner_ = std::move(buffer);
}

Frame::Frame(int width, int height, ColorSpec color, const PlaneView (&planes)[3],
             std::shared_ptr<const void> owner)
    : width_(width), height_(height), color_(color), owner_(std::move(owner)), foreign_(true) {
  std::copy(std::begin(planes), std::end(planes), std::begin(planes_));
}

uint8_t* Frame::MutablePlane(int i) {
  return foreign_ ? nullptr : const_cast<uint8_t*>(planes_[i].data);
}

Frame MakeGreyFrame(int width, int height, ColorSpec color) {
  Frame frame(width, height, color);
  for (int i = 0; i < 3; ++i) {
    std::memset(frame.MutablePlane(i), 128,
                static_cast<size_t>(frame.plane(i).stride) * frame.plane(i).height);
  }
  return frame;
}

bool SamePixels(const Frame& a, const Frame& b) {
  if (a.width() != b.width() || a.height() != b.height() || a.color() != b.color()) return false;
  for (int i = 0; i < 3; ++i) {
    for (int y = 0; y < a.plane(i).height; ++y) {
      if (std::memcmp(a.plane(i).Row(y), b.plane(i).Row(y), a.plane(i).width) != 0) return false;
    }
  }
  return true;
}

uint64_t HashPixels(const Frame& frame) {
  uint64_t hash = 0;
  for (int i = 0; i < 3; ++i) {
    const PlaneView& plane = frame.plane(i);
    for (int y = 0; y < plane.height; ++y) {
      hash = hash * 0x9E3779B97F4A7C15u ^ Hash64({plane.Row(y), size_t(plane.width)});
    }
  }
  return hash;
}

double LumaPsnr(const Frame& a, const Frame& b) {
  STAC_CHECK(a.width() == b.width() && a.height() == b.height());
  double sum = 0;
  for (int y = 0; y < a.height(); ++y) {
    const uint8_t* row_a = a.y().Row(y);
    const uint8_t* row_b = b.y().Row(y);
    int64_t row_sum = 0;
    for (int x = 0; x < a.width(); ++x) {
      const int difference = row_a[x] - row_b[x];
      row_sum += difference * difference;
    }
    sum += static_cast<double>(row_sum);
  }
  if (sum == 0) return 99.0;
  return std::min(99.0, 10 * std::log10(255.0 * 255.0 * a.width() * a.height() / sum));
}

}  // namespace stac
