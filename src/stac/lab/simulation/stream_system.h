#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "stac/adapt/controller.h"
#include "stac/lab/lab_tools.h"
#include "stac/lab/segmenter_wrappers.h"
#include "stac/lab/simulation/looped_clip.h"
#include "stac/lab/system_spec.h"
#include "stac/quant/profile.h"

namespace stac {

// What all streams over one clip and network read. All borrowed.
struct StreamInputs {
  const Clip& clip;
  Segmenter& network;
  const Profile& profile;
  const std::vector<LabelMap>& reference;  // of the clip's frames: the truth
  // accmpeg: importance of the macroblocks of each of the clip's frames; null for others.
  const std::vector<SensitivityMap>* importance = nullptr;
  uint64_t seed = 1;
};

// True for the systems that can change their configuration while they run: stac, accmpeg, casva,
// grace+.
bool IsAdaptive(const SystemSpec& spec);
// True if labels of every frame come from propagation, without waiting (section V-B).
bool ShowsPropagatedLabels(const SystemSpec& spec);

// Device and server session of one system.
class StreamSystem {
 public:
  // Everything is borrowed.
  StreamSystem(const SystemSpec& spec, const StreamInputs& inputs, const LoopedClip& frames,
               const ManualClock* clock, const LabTools& tools);
  ~StreamSystem();

  Status Connect();
  void Configure(const ControlDecision& decision);
  // Plans the current frame of `device` as a keyframe if one is due.
  std::optional<KeyframeJob> Plan(const Frame& frame);
  // Segments one keyframe.
  Result<ServerAnswer> Segment(const PendingFrame& pending);

  DeviceSession& device() { return *device_; }
  ServerSession& server() { return *server_; }

 private:
  std::optional<Grid<float>> WantedQp(const Frame& frame) const;

  const SystemSpec& spec_;
  const StreamInputs& in_;
  const LoopedClip& frames_;
  std::shared_ptr<double> jpeg_step_;
  ControlDecision decision_;
  Size planned_size_;  // of the last keyframe
  LabelsOnlySegmenter labels_only_;
  std::unique_ptr<DeviceSession> device_;
  std::unique_ptr<ServerSession> server_;
};

}  // namespace stac
