#pragma once

#include <memory>
#include <string>

#include "stac/base/result.h"
#include "stac/device/adaptation.h"

namespace stac {

// How `stac device` adapts: --adapt, --tuner, --table, --share, --spare and --coarser.
struct DeviceAdaptation {
  std::string mode;   // tuner, table, off; empty: tuner unless the configuration is given
  std::string tuner;  // weights; empty: those that ship with the program
  std::string table;  // profile (base_qp,keyframe_fps,scale,accuracy,kbps) or segment table
  double share = AdaptationOptions{}.share;      // of the bandwidth that is planned with
  double spare = AdaptationOptions{}.spare;      // times the planned keyframes, where there is room
  double coarser = AdaptationOptions{}.coarser;  // QP, of keyframes that would not fit
};

// Null if the configuration is to stay as it is. `given`: the user has chosen a configuration;
// `start`: with which to begin. fps: of the camera. Fails on files that cannot be read.
Result<std::unique_ptr<Adaptation>> MakeAdaptation(const DeviceAdaptation& wanted, bool given,
                                                   const ControlDecision& start, double fps);

}  // namespace stac
