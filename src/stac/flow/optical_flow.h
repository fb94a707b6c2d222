#pragma once

#include <memory>
#include <string>

#include "stac/base/result.h"
#include "stac/video/frame.h"
#include "stac/video/maps.h"

namespace stac {

enum class FlowPreset { kUltraFast, kFast, kMedium };
Result<FlowPreset> ParseFlowPreset(const std::string& text);

// Labels of CamVid 0016E5 (480x360) carried over 1, 2, 4, 8 frames against human labels, pixel
// accuracy / mIoU in percent, and time per frame on one machine:
//   labels held                      94.5/73.6  91.8/63.6  88.1/53.6  83.6/45.2
//   ultrafast, downscale 4, grid 8   96.7/85.8  95.9/81.4  94.5/74.7  92.3/66.0   0.6 ms
//   ultrafast, downscale 4, grid 4   96.9/87.2  96.3/84.2  95.3/79.0  93.6/71.6   1.7 ms
//   ultrafast, downscale 1, grid 4   96.9/87.2  96.3/84.2  95.4/79.1  93.7/71.9   3.4 ms
//   fast,      downscale 1, grid 4   96.9/87.4  96.4/84.3  95.3/78.9  93.5/71.0   5.3 ms
//   ultrafast, downscale 2, grid 2   97.0/88.1  96.6/86.0  95.8/81.8  94.4/75.1  10.1 ms
// So the grid decides; refinement (fast, medium) and finer planes below the grid add nothing.
struct FlowOptions {
  FlowPreset preset = FlowPreset::kUltraFast;
  // The luma planes are reduced by this factor (1, 2 or 4) before matching; the resulting field
  // has step = downscale.
  int downscale = 4;
  // Patches are matched down to a grid of this many frame pixels: 1, 2, 4, 8, 16 or 32, not below
  // downscale (raised to it).
  int grid = 4;
};

// Dense motion between adjacent raw frames. Keeps the reduced luma plane of the last frame, so
// that each frame is reduced once. Not thread-safe.
class OpticalFlow {
 public:
  virtual ~OpticalFlow() = default;
  // Flow from `now` back to the frame given in the previous call (see FlowField). The first call,
  // or one after a change of size, gives zero flow. `field` is reused: no allocation in steady
  // state.
  virtual void Next(const Frame& now, FlowField& field) = 0;
  // Changes FlowOptions::grid from the next frame on: a factor of 2 changes the time by 3 to 4.
  virtual void SetGrid(int /*grid*/) {}
};

// Dense inverse search (Kroeger et al. 2016) from OpenCV, started from the motion of the frame
// before, as its authors propose for video.
std::unique_ptr<OpticalFlow> MakeDisFlow(const FlowOptions& options = {});

}  // namespace stac
