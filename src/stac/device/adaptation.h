#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "stac/adapt/content_metrics.h"
#include "stac/adapt/controller.h"
#include "stac/base/clock.h"
#include "stac/device/send_gate.h"
#include "stac/transport/link.h"
#include "stac/video/frame.h"

namespace stac {

struct AdaptationOptions {
  ControlDecision start = {.base_qp = 30, .keyframe_fps = 5};  // until the link is known
  // The scale only moves with controllers that choose one; see stepped_scale.h for when.
  ControlLimits limits = {.min_base_qp = 12,
                          .max_base_qp = 48,
                          .min_keyframe_fps = 1,
                          .max_keyframe_fps = 30,
                          .min_scale = 0.5};
  // Of the estimate that is planned with. A link that is filled delivers its keyframes later, and
  // labels that are older cost more accuracy than the bits bring (docs/results.md).
  double share = 0.65;
  // At most this times what arrived lately is planned with: short bursts may seem to pass faster
  // than the link carries much.
  double most_growth = 4;
  double max_backlog_ms = 300;  // of what is on its way, before keyframes are dropped
  // Up to this times the decided keyframes go while the link has room (send_gate.h); 1: those
  // decided. So the share decides how many bits a keyframe has, and the rest of the link makes
  // labels fresher.
  double spare = 2;
  double coarser = 4;  // QP by which a keyframe may be coded coarser than decided (send_gate.h)
  double source_fps = 30;
  Micros period_us = 1'000'000;
};

// What happened in one period, and what was decided for the next.
struct AdaptationRecord {
  Micros time = 0;           // when it was decided
  double estimate_kbps = 0;  // of the link, as it says
  double trusted_kbps = 0;   // of it what recent sending supports
  double sent_kbps = 0;      // keyframes
  double label_kbps = 0;     // labels that went upstream
  int keyframes = 0;         // coded and handed to the link
  double mean_qp = 0;        // base QP of these keyframes: the decided one, or coarser
  int skipped = 0;           // frames at which a keyframe was due and the link had no room for it
  bool stalled = false;      // nothing got through: the decision is kept
  ControlInput input;        // what the controller was told
  ControlDecision decision;
  double keyframe_rate = 0;  // the most keyframes a second: with spare ones more than decided
};

// Section VI on the device: decides once a second from what the link carries, what was sent and
// what the video shows, and drops keyframes before they are coded while the estimate was too high,
// so that references stay valid. While nothing gets through, the last decision stands, so that the
// quality is back with the link. Keyframes beyond the decided rate go while the link would run dry
// without them. The controller's scale is kept to steps that hold for some seconds
// (adapt/stepped_scale.h). Stepped, without threads; times are the caller's clock.
class Adaptation {
 public:
  Adaptation(std::unique_ptr<Controller> controller, const AdaptationOptions& options);

  // Every raw frame, for c and d.
  void OnFrame(const Frame& frame) { content_.Add(frame); }
  // The keyframe that KeyframeQp last gave a QP for.
  void OnKeyframeSent(size_t bytes, bool idr);
  void OnLabelsSent(size_t bytes) { label_bytes_ += static_cast<int64_t>(bytes); }
  // A new link: neither what went over the last one nor the time without any tells how fast it is.
  void OnConnected();

  // Asked when a keyframe is due: the base QP to code it at, the decided one or coarser. nullopt,
  // no keyframe now, while what is on its way takes the link longer than it should, or while this
  // period's keyframes have taken more than the link carries by now (send_gate.h).
  std::optional<double> KeyframeQp(Micros now, const LinkStats& stats);
  // A decision, if a period has ended since the last one (the first call starts the first).
  std::optional<AdaptationRecord> Decide(Micros now, const LinkStats& stats);

  const ControlDecision& decision() const { return decision_; }

 private:
  void BeginPeriod(Micros now, int64_t acknowledged);
  double TrustedKbps(const LinkStats& stats) const;

  std::unique_ptr<Controller> controller_;
  AdaptationOptions options_;
  ContentMeter content_;
  SendGate gate_;
  ControlDecision decision_;
  ControlDecision keyframe_;  // of the keyframe that is being coded
  // The last period in which something was sent: what a new decision starts from.
  std::optional<ControlInput> last_;
  Micros period_start_ = -1;    // -1: when Decide is called next
  double proven_kbps_ = 0;      // arrived in the best of the last periods; 0: nothing yet
  int64_t keyframe_bytes_ = 0;  // in this period
  int64_t label_bytes_ = 0;
  int keyframes_ = 0;
  double qp_sum_ = 0;  // their base QPs
  int skipped_ = 0;
  int64_t acknowledged_ = 0;  // at the period's start
};

}  // namespace stac
