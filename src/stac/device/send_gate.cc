#include "stac/device/send_gate.h"

#include <algorithm>
#include <limits>

namespace stac {

ControlDecision SendGate::ForKeyframe(const ControlDecision& decision) const {
  ControlDecision keyframe = decision;
  const double rate =
      std::min(decision.keyframe_fps * options_.spare, 1e3 / options_.frame_interval_ms);
  keyframe.base_qp +=
      std::min(options_.coarser, budget_.CoarserBy(decision.base_qp, decision.scale, rate));
  return keyframe;
}

bool SendGate::MayCode(Micros now, const ControlDecision& keyframe, const LinkStats& stats,
                       std::optional<double> link_kbps) const {
  if (options_.hold_to_bandwidth && !budget_.Allows(now, keyframe.base_qp, keyframe.scale)) {
    return false;
  }
  if (!link_kbps) return true;
  double most_ms = options_.max_backlog_ms > 0 ? options_.max_backlog_ms
                                               : std::numeric_limits<double>::infinity();
  // The link must not run dry before the next frame; what waits longer only ages.
  if (options_.spare > 1) most_ms = std::min(most_ms, options_.frame_interval_ms);
  const double backlog_ms = static_cast<double>(stats.unsent_bytes) * 8 / std::max(*link_kbps, 1.0);
  // What has arrived is known a round trip later.
  return backlog_ms <= most_ms + stats.rtt_ms;
}

}  // namespace stac
