#pragma once

#include <cstdint>
#include <random>

#include "stac/video/frame.h"

namespace stac {

// Noise around grey, the same in every run.
inline Frame RandomFrame(int width, int height) {
  Frame frame(width, height, {ColorMatrix::kBt601, ColorRange::kLimited});
  std::mt19937 random(7);
  for (int i = 0; i < 3; ++i) {
    const PlaneView& plane = frame.plane(i);
    for (int y = 0; y < plane.height; ++y) {
      for (int x = 0; x < plane.width; ++x) {
        frame.MutablePlane(i)[y * plane.stride + x] = static_cast<uint8_t>(100 + random() % 50);
      }
    }
  }
  return frame;
}

}  // namespace stac
