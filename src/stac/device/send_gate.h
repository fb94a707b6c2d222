#pragma once

#include <optional>

#include "stac/adapt/controller.h"
#include "stac/base/clock.h"
#include "stac/device/send_budget.h"
#include "stac/transport/link.h"

namespace stac {

struct SendGateOptions {
  double max_backlog_ms = 300;    // of what is on its way, besides the round trip; 0: no limit
  bool hold_to_bandwidth = true;  // keep each segment to what the link carries (send_budget.h)
  // Up to this times as many keyframes as were decided go while the link would run dry without
  // them; 1: those decided. Labels are fresher for it at no delay, as no keyframe is coded before
  // the link has nearly delivered what it has.
  double spare = 1;
  double frame_interval_ms = 1000.0 / 30;  // until the next frame could be coded
  // A keyframe is coded at most this much coarser (QP) than decided where the last ones were so
  // large that their rate, spare ones included, would not fit what the link carries: what moves
  // changes faster than decisions do. 0: as decided.
  double coarser = 0;
};

// May a keyframe be coded now? The one rule by which keyframes are dropped before they are coded,
// so that references stay valid: on the device and in the simulation. Times are the caller's. Not
// thread-safe.
class SendGate {
 public:
  explicit SendGate(const SendGateOptions& options) : options_(options) {}

  // How many keyframes a second may go. `link_known`: something is known about the link.
  double KeyframeRate(const ControlDecision& decision, bool link_known) const {
    return decision.keyframe_fps * (link_known ? options_.spare : 1);
  }
  // The configuration that the next keyframe is coded with: the decided one, or coarser.
  ControlDecision ForKeyframe(const ControlDecision& decision) const;
  // A segment (a second) starts in which the link carries `kbps`; 0: unknown.
  void StartSegment(Micros now, double kbps) { budget_.StartSegment(now, kbps); }
  // False while what is on its way takes the link longer than it should, or while this segment's
  // keyframes have taken more than it carries by now. `link_kbps`: what the link carries; nullopt:
  // nothing is known about it, so that what is on its way is no reason to wait. `keyframe`: from
  // ForKeyframe.
  bool MayCode(Micros now, const ControlDecision& keyframe, const LinkStats& stats,
               std::optional<double> link_kbps) const;
  void OnCoded(size_t bytes, const ControlDecision& keyframe, bool idr) {
    budget_.OnCoded(bytes, keyframe.base_qp, idr, keyframe.scale);
  }

 private:
  SendGateOptions options_;
  SendBudget budget_;
};

}  // namespace stac
