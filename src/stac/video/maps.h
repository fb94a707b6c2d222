#pragma once

#include <cstdint>

#include "stac/base/grid.h"

// Plain per-frame maps. Names say which frame a map belongs to: levels_in_now =
// Warp(levels_in_then).

namespace stac {

// A class per pixel at frame size: 0..class_count-1, or kUnlabelled.
using LabelMap = Grid<uint8_t>;
inline constexpr uint8_t kUnlabelled = 255;

// A level per region: 0 (finest quantization) .. L-1 (coarsest). The paper counts 1..L.
using LevelMap = Grid<uint8_t>;
inline constexpr int kMaxLevels = 128;

// An H.264 QP (0..51) per 16x16 macroblock.
using QpMap = Grid<uint8_t>;
inline constexpr int kMaxQp = 51;
inline constexpr int kMacroblock = 16;

// Sensitivity (>= 0) per macroblock or region.
using SensitivityMap = Grid<float>;

struct Vec2 {
  float x = 0;
  float y = 0;
  friend bool operator==(const Vec2&, const Vec2&) = default;
};

// Backward flow: the pixel at p in `now` shows what was at p + flow(p) in `then`, in pixels of the
// frame. The grid may be coarser than the frame: cell (i, j) of a grid with step s stands for the
// pixel block that starts at (i*s, j*s); the flow is still in frame pixels.
struct FlowField {
  Grid<Vec2> then_from_now;
  int step = 1;
  int frame_width = 0;
  int frame_height = 0;
};

// How a frame is divided into square regions of whole macroblocks (the last column and row may
// reach over the border).
struct RegionGrid {
  int frame_width = 0;
  int frame_height = 0;
  int region_size = 16;  // pixels, a multiple of 16

  int columns() const { return (frame_width + region_size - 1) / region_size; }
  int rows() const { return (frame_height + region_size - 1) / region_size; }
  int count() const { return columns() * rows(); }
  int mb_columns() const { return (frame_width + kMacroblock - 1) / kMacroblock; }
  int mb_rows() const { return (frame_height + kMacroblock - 1) / kMacroblock; }
  friend bool operator==(const RegionGrid&, const RegionGrid&) = default;
};

}  // namespace stac
