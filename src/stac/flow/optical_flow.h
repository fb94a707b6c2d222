#pragma once

#include <algorithm>
#include <memory>
#include <string>

#include "stac/base/result.h"
#include "stac/video/frame.h"
#include "stac/video/maps.h"

namespace stac {

enum class FlowPreset { kUltraFast, kFast, kMedium };
Result<FlowPreset> ParseFlowPreset(const std::string& text);

// Labels of CamVid 0016E5 (480x360) carried over 1, 2, 4, 8 frames against human labels, pixel
// accuracy / mIoU in percent, and time per frame with chain and mapping on two cores
// (bench/propagation_bench.cc):
//   labels held                      94.4/73.6  91.8/63.6  88.1/53.6  83.6/45.2
//   ultrafast, downscale 4, grid 16  96.1/82.4  94.8/75.8  92.8/67.5  89.7/58.4   0.5 ms
//   ultrafast, downscale 4, grid 8   96.7/86.1  96.0/81.9  94.7/75.5  92.5/66.7   0.7 ms
//   ultrafast, downscale 4, grid 4   96.9/87.4  96.4/84.6  95.5/79.6  93.8/72.2   1.3 ms
//   ultrafast, downscale 1, grid 4   96.9/87.4  96.4/84.6  95.5/79.7  93.9/72.6   8.4 ms
//   fast,      downscale 1, grid 4   96.9/87.6  96.4/84.6  95.4/79.4  93.7/71.7   9.5 ms
//   ultrafast, downscale 2, grid 2   97.0/88.3  96.7/86.3  95.9/82.4  94.6/76.0   4.9 ms
// So the grid decides; refinement (fast, medium) and planes finer than the grid add next to
// nothing. Processor time at 2048x1024 for grids of 16, 8, 4, 2: 2.2, 6.4, 21, 103 ms.
struct FlowOptions {
  FlowPreset preset = FlowPreset::kUltraFast;
  // The luma planes are reduced by this factor (1, 2 or 4) before matching; the resulting field
  // has step = downscale.
  int downscale = 4;
  // Patches are matched down to a grid of this many frame pixels: 1, 2, 4, 8, 16 or 32, not below
  // downscale (raised to it).
  int grid = 4;
};

// `options` with another grid, to which the planes are reduced at most.
inline FlowOptions WithGrid(FlowOptions options, int grid) {
  options.grid = grid;
  options.downscale = std::min(options.downscale, grid);
  return options;
}

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
