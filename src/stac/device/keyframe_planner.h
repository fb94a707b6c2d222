#pragma once

#include <optional>

#include "stac/base/grid.h"
#include "stac/quant/level_ladder.h"
#include "stac/video/frame.h"
#include "stac/video/maps.h"
#include "stac/video/video_codec.h"

namespace stac {

// 16 for frames below 640x640 pixels in area, else 32: there the levels of 16-pixel regions cost 1
// to 4 % of all bits, those of 32-pixel regions a third of it, at the same accuracy as far as shows
// (docs/results.md).
constexpr int RegionSizeFor(int width, int height) { return width * height < 640 * 640 ? 16 : 32; }

struct PlannerOptions {
  VideoCodec codec = VideoCodec::kH264;
  int region_size = 0;       // pixels: a multiple of 16; 0: RegionSizeFor the frame
  double aq_strength = 0.6;  // variance adaptive quantization added to the plan; 0: none
  // QP of the first frame: the base QP and this offset. It is the reference of all that follow, so
  // finer pays (x264's own rate control does the same).
  double first_frame_offset = -3;
  bool middle_level_first = false;  // instead: the ladder's middle level, as the paper has it
};

// Turns levels into the QP of every macroblock of a keyframe: level -> QP, plus the shift of the
// base QP since the levels were computed, plus variance AQ, rounded to what the encoder codes.
// Regions are those of the full size; `frame` is as it will be coded, which may be smaller.
class KeyframePlanner {
 public:
  // width and height: the full size.
  KeyframePlanner(const PlannerOptions& options, int width, int height);

  void SetLadder(const LevelLadder& ladder) { ladder_ = ladder; }
  // levels null: uniform (first frame). base_qp: what is wanted now; levels_base_qp: what the
  // levels were computed for. A macroblock gets what the QPs of the regions, interpolated
  // (bilinear) between their centres, are at its centre, also on a smaller frame, where it lies
  // over several.
  QpMap Plan(const Frame& frame, const LevelMap* levels, double base_qp,
             double levels_base_qp) const;
  // The same from wanted QPs per macroblock of `frame`.
  QpMap PlanWanted(const Frame& frame, Grid<float> wanted_qp) const;

  const RegionGrid& regions() const { return regions_; }
  const LevelLadder& ladder() const { return ladder_; }

 private:
  float QpAt(const LevelMap& levels, double x, double y) const;

  PlannerOptions options_;
  RegionGrid regions_;
  LevelLadder ladder_;
};

}  // namespace stac
