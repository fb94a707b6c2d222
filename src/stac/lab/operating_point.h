#pragma once

#include <vector>

#include "stac/lab/clip.h"
#include "stac/lab/lab_tools.h"
#include "stac/lab/result_row.h"
#include "stac/lab/system_spec.h"
#include "stac/quant/profile.h"

namespace stac {

// Everything one operating point reads. All borrowed.
struct PointInputs {
  const Clip& clip;
  const ClipMotion& motion;
  const std::vector<LabelMap>& reference;  // the network's labels of the raw frames
  Segmenter& network;
  const Profile& profile;
  // accmpeg: importance of each frame's macroblocks as they are coded; null for others.
  const std::vector<SensitivityMap>* importance = nullptr;
  uint64_t seed = 1;
  bool per_second = false;  // fill the row's segments
};

// Streams the clip through a DeviceSession and a ServerSession in lock-step, every message
// serialized, counted and parsed as on the wire: each keyframe's answer arrives before that
// frame's labels are read. Scores the labels of all frames. The row's names, hashes, key and total
// time are left to the caller.
Result<ResultRow> RunPoint(const SystemSpec& spec, const PointInputs& inputs,
                           const LabTools& tools);

}  // namespace stac
