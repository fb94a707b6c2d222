#include "stac/lab/simulation/stream_score.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "stac/base/check.h"
#include "stac/propagate/motion_chain.h"
#include "stac/propagate/warp.h"

namespace stac {
namespace {

double Quantile(std::vector<double> values, double share) {
  std::erase_if(values, [](double value) { return std::isnan(value); });
  if (values.empty()) return NAN;
  const auto rank = static_cast<size_t>(std::ceil(share * static_cast<double>(values.size())));
  const auto at = values.begin() + static_cast<ptrdiff_t>(std::max<size_t>(rank, 1) - 1);
  std::nth_element(values.begin(), at, values.end());
  return *at;
}

}  // namespace

double StreamScore::Score(FrameId id, const LabelMap& labels) const {
  ConfusionMatrix counts(class_count_);
  counts.Add(reference_[frames_.ClipFrame(id)], labels);
  return counts.PixelAccuracy();
}

double StreamScore::WayMs(const Keyframe& keyframe, Micros captured) {
  const Micros left = keyframe.arrived - std::max(keyframe.sent, captured);
  return std::max(0.0, static_cast<double>(left) / 1000);
}

void StreamScore::OnAnswered(FrameId id, const LabelMap& labels, Micros now) {
  Keyframe& keyframe = keyframes_[id];
  keyframe.answered = now;
  keyframe.labels = labels;
}

void StreamScore::OnPropagated(FrameId id, const LabelMap& labels, double delay_ms) {
  FrameOutcome outcome{.time_s = static_cast<double>(frames_.At(id).pts) / 1e6,
                       .missing = labels.empty()};
  if (!labels.empty()) {
    outcome.pa = outcome.pa_at_hand = Score(id, labels);
    outcome.delay_ms = delay_ms;
  }
  outcomes_.push_back(outcome);
}

void StreamScore::FinishWaiting(FrameId count) {
  const Keyframe* newest = nullptr;  // up to the frame, if it was ever answered
  auto next = keyframes_.begin();
  for (FrameId id = 0; id < count; ++id) {
    for (; next != keyframes_.end() && next->first <= id; ++next) {
      if (next->second.answered >= 0) newest = &next->second;
    }
    const Micros captured = frames_.At(id).pts;
    FrameOutcome outcome{.time_s = static_cast<double>(captured) / 1e6,
                         .missing = newest == nullptr};
    if (newest != nullptr) {
      outcome.pa = outcome.pa_waited = Score(id, newest->labels);
      outcome.delay_ms = outcome.waited_ms = WayMs(*newest, captured);
    }
    const Keyframe* at_hand = nullptr;
    for (const auto& [key, keyframe] : keyframes_) {
      if (key >= id) break;
      if (keyframe.answered >= 0 && keyframe.answered <= captured) at_hand = &keyframe;
    }
    if (at_hand != nullptr) outcome.pa_at_hand = Score(id, at_hand->labels);
    outcomes_.push_back(outcome);
  }
}

void StreamScore::FinishPropagated(FrameId count) {
  STAC_CHECK_EQ(outcomes_.size(), static_cast<size_t>(count));
  const auto flow = frames_.MakeFlow();
  MotionChain chain(1);
  FlowField then_from_now;
  LabelMap moved;
  auto newest = keyframes_.end();  // up to the frame, if it was ever answered
  for (FrameId id = 0; id < count; ++id) {
    const Frame frame = frames_.At(id);
    flow->Next(frame, then_from_now);
    chain.Advance(then_from_now);
    const auto here = keyframes_.find(id);
    if (here != keyframes_.end() && here->second.answered >= 0) {
      newest = here;
      chain.AddAnchor(id, frame.width(), frame.height(), then_from_now.step);
    }
    if (newest == keyframes_.end()) continue;
    WarpLabels(newest->second.labels, *chain.Find(newest->first), moved);
    outcomes_[id].pa_waited = Score(id, moved);
    outcomes_[id].waited_ms = WayMs(newest->second, frame.pts);
  }
}

StreamSummary Summarize(const StreamResult& result, double skip_seconds) {
  StreamSummary summary;
  std::vector<double> delays, waits;
  for (const FrameOutcome& frame : result.frames) {
    if (frame.time_s < skip_seconds) continue;
    summary.pa += frame.pa;
    summary.pa_at_hand += frame.pa_at_hand;
    summary.pa_waited += frame.pa_waited;
    summary.missing += frame.missing ? 1 : 0;
    delays.push_back(frame.delay_ms);
    waits.push_back(frame.waited_ms);
  }
  if (!delays.empty()) {
    summary.pa /= static_cast<double>(delays.size());
    summary.pa_at_hand /= static_cast<double>(delays.size());
    summary.pa_waited /= static_cast<double>(delays.size());
  }
  summary.delay_p50_ms = Quantile(delays, 0.5);
  summary.delay_p99_ms = Quantile(delays, 0.99);
  summary.waited_p50_ms = Quantile(waits, 0.5);
  summary.waited_p99_ms = Quantile(waits, 0.99);
  double told = 0, used = 0;
  int seconds = 0, over = 0;
  for (size_t i = static_cast<size_t>(std::ceil(skip_seconds)); i < result.seconds.size(); ++i) {
    const SecondOutcome& second = result.seconds[i];
    ++seconds;
    summary.coded_kbps += second.coded_kbps;
    summary.bandwidth_kbps += second.bandwidth_kbps;
    over += second.coded_kbps > second.bandwidth_kbps ? 1 : 0;
    if (second.told_kbps <= 0) continue;
    told += second.told_kbps;
    used += second.coded_kbps;
  }
  if (seconds > 0) {
    summary.coded_kbps /= seconds;
    summary.bandwidth_kbps /= seconds;
    summary.overshoot_percent = 100.0 * over / seconds;
  }
  if (told > 0) summary.use_percent = 100 * used / told;
  return summary;
}

}  // namespace stac
