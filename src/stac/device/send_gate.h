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
  // A segment (a second) starts in which the link carries `kbps`; 0: unknown.
  void StartSegment(Micros now, double kbps) { budget_.StartSegment(now, kbps); }
  // False while what is on its way takes the link longer than it should, or while this segment's
  // keyframes have taken more than it carries by now. `link_kbps`: what the link carries; nullopt:
  // nothing is known about it, so that what is on its way is no reason to wait.
  bool MayCode(Micros now, const ControlDecision& decision, const LinkStats& stats,
               std::optional<double> link_kbps) const;
  void OnCoded(size_t bytes, const ControlDecision& decision, bool idr) {
    budget_.OnCoded(bytes, decision.base_qp, idr, decision.scale);
  }

 private:
  SendGateOptions options_;
  SendBudget budget_;
};

}  // namespace stac
