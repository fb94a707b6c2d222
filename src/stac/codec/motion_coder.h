#pragma once

#include <cstdint>

#include "stac/base/bytes.h"
#include "stac/base/grid.h"
#include "stac/base/result.h"

namespace stac {

// Motion of whole blocks by whole pixels, for a side that holds the labels of an earlier frame and
// is told only how they moved: block b of `now` shows what lay at b + then_from_now(b).
struct Shift {
  int16_t x = 0;
  int16_t y = 0;
  friend bool operator==(const Shift&, const Shift&) = default;
};
struct BlockMotion {
  Grid<Shift> then_from_now;  // one for each block of kMotionBlock x kMotionBlock pixels
  int frame_width = 0;
  int frame_height = 0;
};
inline constexpr int kMotionBlock = 16;
inline constexpr int kMaxShift = 4096;  // in x and in y

// No motion at all.
BlockMotion StillBlocks(int frame_width, int frame_height);

// What the coder expects of block (x, y) when it knows the blocks before it in raster order: the
// motion of the block in `previous` (nullptr: none), changed as the blocks around it changed.
// Motion that is as expected costs next to nothing.
Shift ExpectedShift(const Grid<Shift>& motion, const Grid<Shift>* previous, int x, int y);

// Lossless coding by adaptive arithmetic coding, the same on every machine. `previous`: motion
// that both sides know, usually of the frame before to the same earlier frame; nullptr: none.
Bytes EncodeMotion(const BlockMotion& motion, const BlockMotion* previous);

// Untrusted input: any bytes give motion for a frame of width x height, or an error.
Result<BlockMotion> DecodeMotion(ByteSpan bytes, int width, int height,
                                 const BlockMotion* previous);

}  // namespace stac
