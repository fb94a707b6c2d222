#pragma once

#include <memory>
#include <vector>

#include "stac/lab/clip.h"
#include "stac/lab/lab_tools.h"

namespace stac {

// A clip played forwards and backwards for ever, so that a stream of any length has no cuts.
// `clip` must outlive it.
class LoopedClip {
 public:
  LoopedClip(const Clip& clip, const LabTools& tools);

  // Frame `id` of the stream; ids and times count on through all rounds.
  Frame At(FrameId id) const;
  // Which of the clip's frames it shows.
  size_t ClipFrame(FrameId id) const;
  // Plays back the motion of the stream, by the frame's id.
  std::unique_ptr<OpticalFlow> MakeFlow() const;
  // Measured: the mean time that the motion of one frame took.
  double flow_ms() const { return flow_ms_; }
  const Clip& clip() const { return clip_; }

 private:
  const FlowField& MotionAt(FrameId id) const;

  const Clip& clip_;
  ClipMotion forward_;   // [i]: since frame i - 1
  ClipMotion backward_;  // [i]: since frame i + 1
  double flow_ms_ = 0;
};

}  // namespace stac
