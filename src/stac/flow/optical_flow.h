#pragma once

#include <memory>
#include <string>

#include "stac/base/result.h"
#include "stac/video/frame.h"
#include "stac/video/maps.h"

namespace stac {

enum class FlowPreset { kUltraFast, kFast, kMedium };
Result<FlowPreset> ParseFlowPreset(const std::string& text);

struct FlowOptions {
  FlowPreset preset = FlowPreset::kFast;
  // The luma planes are reduced by this factor (1, 2 or 4) before matching; the resulting field
  // has step = downscale. 2 is 4-5 times cheaper than 1 and good enough for labels.
  int downscale = 2;
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
};

// Dense inverse search (Kroeger et al. 2016) from OpenCV.
std::unique_ptr<OpticalFlow> MakeDisFlow(const FlowOptions& options = {});

}  // namespace stac
