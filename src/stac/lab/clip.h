#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "stac/lab/experiment_spec.h"
#include "stac/lab/lab_tools.h"
#include "stac/video/frame.h"
#include "stac/video/maps.h"

namespace stac {

// A clip in memory: every operating point reads the same frames.
struct Clip {
  std::string name;
  double fps = 0;
  std::vector<Frame> frames;           // ids 0, 1, ...; times in steps of 1 / fps
  std::string human;                   // kind of human labels (label_mapping.h); empty: none
  std::vector<LabelMap> human_labels;  // as many as frames, or none
  std::string hash;                    // of all samples, human labels, the colour and the rate
  int width() const { return frames.front().width(); }
  int height() const { return frames.front().height(); }
  double seconds() const { return static_cast<double>(frames.size()) / fps; }
};

// Fails if the clip has less than two frames, or if human labels were asked for and are missing.
Result<Clip> LoadClip(const ClipEntry& entry, const LabTools& tools);

// The motion of each of a clip's frames since the one before (then_from_now); zero for the first.
// Made once per clip.
using ClipMotion = std::vector<FlowField>;
ClipMotion MotionOf(const Clip& clip, const LabTools& tools);

// Plays back stored motion, by the frame's id. `motion` must outlive it.
std::unique_ptr<OpticalFlow> MakeStoredFlow(const ClipMotion& motion);
// Zero motion, for systems that do not use any.
std::unique_ptr<OpticalFlow> MakeZeroFlow();

}  // namespace stac
