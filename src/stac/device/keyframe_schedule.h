#pragma once

#include <deque>
#include <vector>

#include "stac/base/clock.h"
#include "stac/video/frame.h"

namespace stac {

struct ScheduleOptions {
  double keyframe_fps = 0;            // 0: as fast as they are processed
  int max_unanswered = 4;             // upper bound of the adaptive window
  Micros answer_timeout = 4'000'000;  // an unanswered keyframe counts as lost after this
};

// Decides when a frame becomes a keyframe: at the wanted rate, but never faster than the server
// answers. The window of unanswered keyframes starts at one and opens only as far as the round
// trip exceeds the server's own processing time, so that keyframes do not queue up at the server.
// Not thread-safe.
class KeyframeSchedule {
 public:
  explicit KeyframeSchedule(const ScheduleOptions& options);

  void SetRate(double keyframe_fps) { options_.keyframe_fps = keyframe_fps; }
  // True if the frame captured at `pts` should be sent now.
  bool Due(Micros pts, double source_fps) const;
  void OnPlanned(FrameId frame, Micros pts, Micros now);
  // `processing_ms`: the server's time for this keyframe. Older unanswered ones count as answered.
  void OnAnswered(FrameId frame, Micros now, double processing_ms);
  // There will be no answer, which says nothing about older ones.
  void OnLost(FrameId frame);
  // The same, because the server had more than it takes: the window closes by one until the next
  // answer, or the next keyframe would only push out another one.
  void OnDropped(FrameId frame);
  // The keyframes that timed out; they are forgotten.
  std::vector<FrameId> ExpireUnanswered(Micros now);
  void Reset();
  int unanswered() const { return static_cast<int>(unanswered_.size()); }
  int window() const { return window_; }

 private:
  struct Sent {
    FrameId frame;
    Micros at;
  };
  static constexpr size_t kRecent = 16;

  ScheduleOptions options_;
  std::deque<Sent> unanswered_;
  std::deque<double> recent_turnarounds_ms_;
  int window_ = 1;
  bool started_ = false;
  Micros next_due_ = 0;
};

}  // namespace stac
