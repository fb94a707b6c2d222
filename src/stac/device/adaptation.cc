#include "stac/device/adaptation.h"

#include <algorithm>
#include <utility>

#include "stac/adapt/stepped_scale.h"

namespace stac {
namespace {

// Of a new link nothing is known yet.
bool LinkIsKnown(const LinkStats& stats) {
  return stats.estimated_kbps > 0 || stats.bytes_acknowledged > 0;
}

}  // namespace

Adaptation::Adaptation(std::unique_ptr<Controller> controller, const AdaptationOptions& options)
    : controller_(MakeSteppedScale(std::move(controller))),
      options_(options),
      gate_({.max_backlog_ms = options.max_backlog_ms,
             .spare = options.spare,
             .frame_interval_ms = 1e3 / options.source_fps,
             .coarser = options.coarser}),
      decision_(Clamp(options.start, options.limits)),
      keyframe_(decision_) {}

void Adaptation::OnKeyframeSent(size_t bytes, bool idr) {
  gate_.OnCoded(bytes, keyframe_, idr);
  qp_sum_ += keyframe_.base_qp;
  keyframe_bytes_ += static_cast<int64_t>(bytes);
  ++keyframes_;
}

double Adaptation::TrustedKbps(const LinkStats& stats) const {
  if (proven_kbps_ <= 0) return stats.estimated_kbps;
  return std::min(stats.estimated_kbps, options_.most_growth * proven_kbps_);
}

std::optional<double> Adaptation::KeyframeQp(Micros now, const LinkStats& stats) {
  const ControlDecision keyframe = Clamp(gate_.ForKeyframe(decision_), options_.limits);
  if (!gate_.MayCode(now, keyframe, stats,
                     LinkIsKnown(stats) ? std::optional(TrustedKbps(stats)) : std::nullopt)) {
    ++skipped_;
    return std::nullopt;
  }
  keyframe_ = keyframe;
  return keyframe.base_qp;
}

std::optional<AdaptationRecord> Adaptation::Decide(Micros now, const LinkStats& stats) {
  if (period_start_ < 0) {
    period_start_ = now;
    acknowledged_ = stats.bytes_acknowledged;
  }
  const Micros elapsed = now - period_start_;
  if (elapsed < options_.period_us) return std::nullopt;
  const double kbps_per_byte = 8e3 / static_cast<double>(elapsed);

  AdaptationRecord record{.time = now,
                          .estimate_kbps = stats.estimated_kbps,
                          .sent_kbps = static_cast<double>(keyframe_bytes_) * kbps_per_byte,
                          .label_kbps = static_cast<double>(label_bytes_) * kbps_per_byte,
                          .keyframes = keyframes_,
                          .skipped = skipped_};
  record.stalled = stats.bytes_acknowledged == acknowledged_ && stats.unsent_bytes > 0;
  if (keyframes_ > 0 && !record.stalled) {
    constexpr double kFading = 0.8;  // per period
    // What was handed over may still wait, or be lost; what arrived may have waited for long.
    const double sent = record.sent_kbps + record.label_kbps;
    const double arrived =
        static_cast<double>(stats.bytes_acknowledged - acknowledged_) * kbps_per_byte;
    proven_kbps_ = std::max(std::min(sent, arrived), kFading * proven_kbps_);
  }
  record.trusted_kbps = TrustedKbps(stats);
  const ContentMetrics content = content_.TakeAverage().value_or(ContentMetrics{});
  if (keyframes_ > 0) {
    record.mean_qp = qp_sum_ / keyframes_;
    last_.emplace().SetSent(decision_, keyframes_ * 1e6 / static_cast<double>(elapsed),
                            record.sent_kbps, skipped_ > 0);
  }
  double budget_kbps = 0;  // unknown
  if (last_ && !record.stalled) {
    record.input = *last_;
    record.input.c = content.c;
    record.input.d = content.d;
    record.input.bandwidth_kbps =
        std::max(0.0, options_.share * record.trusted_kbps - record.label_kbps);
    if (record.trusted_kbps > 0) {
      const double spendable = options_.spare > 1 ? 1 : options_.share;
      // Labels that take all of it leave a second its first keyframe.
      budget_kbps = std::max(1.0, spendable * record.trusted_kbps - record.label_kbps);
    }
    // An unknown bandwidth is no reason to change anything.
    if (record.input.bandwidth_kbps > 0) {
      decision_ = Clamp(controller_->Decide(record.input), options_.limits);
    }
  }
  record.decision = decision_;
  record.keyframe_rate =
      std::min(gate_.KeyframeRate(decision_, LinkIsKnown(stats)), options_.limits.max_keyframe_fps);
  gate_.StartSegment(now, budget_kbps);
  BeginPeriod(now, stats.bytes_acknowledged);
  return record;
}

void Adaptation::OnConnected() {
  BeginPeriod(-1, 0);
  gate_.StartSegment(0, 0);
}

void Adaptation::BeginPeriod(Micros now, int64_t acknowledged) {
  period_start_ = now;
  acknowledged_ = acknowledged;
  keyframe_bytes_ = label_bytes_ = 0;
  keyframes_ = skipped_ = 0;
  qp_sum_ = 0;
}

}  // namespace stac
