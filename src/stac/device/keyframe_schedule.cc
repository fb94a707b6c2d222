#include "stac/device/keyframe_schedule.h"

#include <algorithm>
#include <cmath>

namespace stac {

KeyframeSchedule::KeyframeSchedule(const ScheduleOptions& options) : options_(options) {}

bool KeyframeSchedule::Due(Micros pts, double source_fps) const {
  if (unanswered() >= window_) return false;
  if (!started_ || options_.keyframe_fps <= 0) return true;
  const auto half_interval = static_cast<Micros>(0.5e6 / source_fps);
  return pts + half_interval >= next_due_;
}

void KeyframeSchedule::OnPlanned(FrameId frame, Micros pts, Micros now) {
  unanswered_.push_back({frame, now});
  if (options_.keyframe_fps > 0) {
    const auto period = static_cast<Micros>(1e6 / options_.keyframe_fps);
    next_due_ = (started_ ? next_due_ : pts) + period;
    if (next_due_ <= pts) next_due_ = pts + period;  // fell behind: do not catch up in a burst
  }
  started_ = true;
}

void KeyframeSchedule::OnAnswered(FrameId frame, Micros now, double processing_ms) {
  while (!unanswered_.empty() && unanswered_.front().frame < frame) unanswered_.pop_front();
  if (unanswered_.empty() || unanswered_.front().frame != frame) return;
  const double turnaround_ms = static_cast<double>(now - unanswered_.front().at) / 1000;
  unanswered_.pop_front();

  // The shortest of the recent turnarounds is the one without queueing, as for a minimum RTT.
  recent_turnarounds_ms_.push_back(turnaround_ms);
  if (recent_turnarounds_ms_.size() > kRecent) recent_turnarounds_ms_.pop_front();
  const double shortest =
      *std::min_element(recent_turnarounds_ms_.begin(), recent_turnarounds_ms_.end());
  const double wanted = std::ceil(shortest / std::max(processing_ms, 1.0) - 0.25);
  window_ = static_cast<int>(std::clamp(wanted, 1.0, double(options_.max_unanswered)));
}

void KeyframeSchedule::OnLost(FrameId frame) {
  std::erase_if(unanswered_, [&](const Sent& sent) { return sent.frame == frame; });
}

void KeyframeSchedule::OnDropped(FrameId frame) {
  OnLost(frame);
  window_ = std::max(1, window_ - 1);
}

std::vector<FrameId> KeyframeSchedule::ExpireUnanswered(Micros now) {
  std::vector<FrameId> expired;
  while (!unanswered_.empty() && now - unanswered_.front().at > options_.answer_timeout) {
    expired.push_back(unanswered_.front().frame);
    unanswered_.pop_front();
  }
  return expired;
}

void KeyframeSchedule::Reset() {
  unanswered_.clear();
  recent_turnarounds_ms_.clear();
  window_ = 1;
  started_ = false;
}

}  // namespace stac
