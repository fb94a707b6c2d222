#pragma once

#include <cmath>
#include <map>
#include <vector>

#include "stac/adapt/controller.h"
#include "stac/lab/simulation/looped_clip.h"
#include "stac/video/accuracy.h"

namespace stac {

// What happened to one frame of a simulated stream.
struct FrameOutcome {
  double time_s = 0;      // capture
  double pa = 0;          // of the labels that the system gives for it
  double delay_ms = NAN;  // section VIII-C, see StreamScore; NaN: it never got labels
  double pa_at_hand = 0;  // of the labels that were there when it was captured
  // What a consumer gets who waits for the answer to the newest keyframe up to the frame, and how
  // long after the capture that keyframe reached the server (NaN: there was no answer).
  double pa_waited = 0;
  double waited_ms = NAN;
  bool missing = false;  // no labels at all
};

// What happened in one second.
struct SecondOutcome {
  double bandwidth_kbps = 0;  // what the uplink carries
  double told_kbps = 0;       // what the controller was told it would carry; 0: unknown
  double coded_kbps = 0;      // keyframes that were coded and sent, with their message headers
  int keyframes = 0;
  ControlDecision decision;
  double pa = 0;  // mean over its frames
};

struct StreamResult {
  std::vector<FrameOutcome> frames;
  std::vector<SecondOutcome> seconds;
};

// Scores the labels of all frames against the network's labels of the raw frames.
//
// A system that propagates labels gives each frame labels when it is captured; its delay is the
// time of flow and mapping. The others wait for the server, as the paper has it: a frame's labels
// are those of the newest keyframe up to it, and its delay is that keyframe's way to the server:
// queueing, transmission and propagation, less the time for which the keyframe preceded the frame.
// The network's and the answer's times are not in it (section VIII-C leaves them out). Consumers of
// a propagating system may wait as well: they get that keyframe's labels carried along the flow.
class StreamScore {
 public:
  // `reference`: labels of the clip's frames. Both borrowed.
  StreamScore(const LoopedClip& frames, const std::vector<LabelMap>& reference, int class_count)
      : frames_(frames), reference_(reference), class_count_(class_count) {}

  // A keyframe reached the server / its labels (full size) reached the device.
  void OnArrived(FrameId id, Micros sent, Micros now) { keyframes_[id] = {sent, now}; }
  void OnAnswered(FrameId id, const LabelMap& labels, Micros now);
  // A frame of a propagating system. `labels`: empty if there are none yet.
  void OnPropagated(FrameId id, const LabelMap& labels, double delay_ms);
  // When the stream is over: `count` frames of a system that waits, or what consumers of a
  // propagating system get who wait.
  void FinishWaiting(FrameId count);
  void FinishPropagated(FrameId count);

  const std::vector<FrameOutcome>& frames() const { return outcomes_; }

 private:
  struct Keyframe {
    Micros sent = 0;
    Micros arrived = 0;
    Micros answered = -1;  // < 0: not yet
    LabelMap labels;
  };
  double Score(FrameId id, const LabelMap& labels) const;
  static double WayMs(const Keyframe& keyframe, Micros captured);

  const LoopedClip& frames_;
  const std::vector<LabelMap>& reference_;
  int class_count_;
  std::map<FrameId, Keyframe> keyframes_;
  std::vector<FrameOutcome> outcomes_;
};

// The numbers of one stream, without its first `skip_seconds`.
struct StreamSummary {
  double pa = 0;
  double pa_at_hand = 0;
  double pa_waited = 0;
  double waited_p50_ms = 0;
  double waited_p99_ms = 0;
  double delay_p50_ms = 0;
  double delay_p99_ms = 0;
  double use_percent = 0;        // bits coded of those that the controller was told it could send
  double overshoot_percent = 0;  // seconds in which more was coded than the uplink carries
  int missing = 0;               // frames without labels
  double coded_kbps = 0;
  double bandwidth_kbps = 0;
};
StreamSummary Summarize(const StreamResult& result, double skip_seconds);

}  // namespace stac
