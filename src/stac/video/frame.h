#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "stac/base/clock.h"
#include "stac/base/result.h"

namespace stac {

// The number of a frame in its session, from 0, counting every captured frame.
using FrameId = uint32_t;

enum class ColorMatrix : uint8_t { kBt601, kBt709 };
enum class ColorRange : uint8_t { kLimited, kFull };

// How Y, Cb, Cr map to R, G, B. Carried unchanged from capture to the network's input: a silent
// mismatch looks like a compression loss.
struct ColorSpec {
  ColorMatrix matrix = ColorMatrix::kBt709;
  ColorRange range = ColorRange::kLimited;
  friend bool operator==(const ColorSpec&, const ColorSpec&) = default;
};

std::string ToString(const ColorSpec& color);               // for example "bt709/limited"
Result<ColorSpec> ParseColorSpec(const std::string& text);  // the inverse of ToString

// One plane of 8-bit samples, borrowed.
struct PlaneView {
  const uint8_t* data = nullptr;
  int width = 0;
  int height = 0;
  int stride = 0;  // bytes between rows

  const uint8_t* Row(int y) const { return data + static_cast<ptrdiff_t>(y) * stride; }
  uint8_t At(int x, int y) const { return Row(y)[x]; }
};

// An 8-bit I420 picture: full-size luma and half-size Cb and Cr, width and height even.
// Copies share the pixels, which are immutable once the frame is shared; the last owner frees them.
class Frame {
 public:
  Frame() = default;
  // A frame with unspecified pixels. width and height: even, 16..16384.
  Frame(int width, int height, ColorSpec color = {});
  // Wraps foreign memory: `owner` keeps planes[0..2] alive.
  Frame(int width, int height, ColorSpec color, const PlaneView (&planes)[3],
        std::shared_ptr<const void> owner);

  bool empty() const { return width_ == 0; }
  int width() const { return width_; }
  int height() const { return height_; }
  ColorSpec color() const { return color_; }
  const PlaneView& plane(int i) const { return planes_[i]; }  // 0: Y, 1: Cb, 2: Cr
  const PlaneView& y() const { return planes_[0]; }
  // For the creator only, before the frame is shared. Null for foreign memory.
  uint8_t* MutablePlane(int i);

  FrameId id = 0;
  Micros pts = 0;  // presentation time, from the source's start

 private:
  int width_ = 0;
  int height_ = 0;
  ColorSpec color_;
  PlaneView planes_[3];
  std::shared_ptr<const void> owner_;
  bool foreign_ = false;
};

// A frame whose samples are all 128.
Frame MakeGreyFrame(int width, int height, ColorSpec color = {});

// True if every sample and the colour description are the same.
bool SamePixels(const Frame& a, const Frame& b);
// Hash of all samples, row by row without padding.
uint64_t HashPixels(const Frame& frame);
// Peak signal-to-noise ratio of the luma plane in dB; 99 for identical planes.
double LumaPsnr(const Frame& a, const Frame& b);

// The largest even size not above the given one.
inline int EvenFloor(int size) { return size & ~1; }

}  // namespace stac
