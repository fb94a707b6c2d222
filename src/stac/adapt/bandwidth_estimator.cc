#include "stac/adapt/bandwidth_estimator.h"

#include <algorithm>

#include "stac/base/check.h"

namespace stac {
namespace {

// After a standstill the first acknowledgement covers a long time; more than this is forgotten at
// once, so that the estimate is back within about a second.
constexpr Micros kLongestMeasurement = 200'000;
// A lower bound looks back this far at most: the link may have been faster before.
constexpr Micros kLongestLowerBound = 300'000;
// Over so long a time few bytes are a lower bound too.
constexpr Micros kLeastBoundTime = 100'000;
// Enough busy time to forget measurements because of their age.
constexpr Micros kEnoughBusyTime = 30'000;
// Less is not how fast a link is, but how late it acknowledges: a greeting of 50 bytes.
constexpr int64_t kLeastFirstBytes = 1000;
// A link that was not found busy for so long although this share of the estimate went through it
// is taken for faster: by kFirstLift, and up to so much when that happens again and again.
constexpr Micros kQuietTime = 1'000'000;
constexpr double kUsedShare = 0.4;
constexpr double kMostLift = 2;
// Acknowledgements may be this late without a standstill.
constexpr Micros kAcknowledgementDelay = 30'000;

double ToKbps(int64_t bytes, Micros duration) {
  return static_cast<double>(bytes) * 8000 / static_cast<double>(duration);
}

}  // namespace

void BandwidthEstimator::OnSent(Micros now, int64_t total_bytes) {
  STAC_CHECK_GE(total_bytes, total_sent_);
  if (total_bytes == total_sent_) return;
  if (total_sent_ == total_acknowledged_) {
    burst_start_ = bound_start_ = now;
    bound_base_ = total_acknowledged_;
  }
  total_sent_ = total_bytes;
  sent_.push_back({now, total_bytes});
}

void BandwidthEstimator::OnWithdrawn(int64_t bytes) {
  STAC_CHECK_LE(bytes, total_sent_ - total_acknowledged_);
  total_sent_ -= bytes;
  while (!sent_.empty() && sent_.back().total > total_sent_) {
    const bool partly =
        total_sent_ > (sent_.size() > 1 ? sent_[sent_.size() - 2].total : total_acknowledged_);
    if (partly) {
      sent_.back().total = total_sent_;
    } else {
      sent_.pop_back();
    }
  }
}

void BandwidthEstimator::OnAcknowledged(Micros now, int64_t total_bytes, Micros round_trip_us) {
  STAC_CHECK_LE(total_bytes, total_sent_);
  round_trip_ = round_trip_us;
  if (total_bytes <= total_acknowledged_) return;
  Micros sent_time = burst_start_;  // of the last byte that is acknowledged now
  while (!sent_.empty()) {
    sent_time = sent_.front().time;
    if (sent_.front().total > total_bytes) break;
    const bool last = sent_.front().total == total_bytes;
    sent_.pop_front();
    if (last) break;
  }
  const bool busy_at_start =
      last_growth_ > burst_start_ && sent_time + round_trip_us <= last_growth_;
  const bool busy_at_end = total_bytes < total_sent_;
  if (busy_at_start && busy_at_end && now > last_growth_) {
    AddMeasurement({now, std::min(now - last_growth_, kLongestMeasurement),
                    total_bytes - total_acknowledged_});
    lift_ = 1;
    next_lift_ = kFirstLift;
    quiet_start_ = now;
    quiet_base_ = total_bytes;
  } else if (IsLowerBound(now - bound_start_, total_bytes - bound_base_)) {
    AddLowerBound(now, ToKbps(total_bytes - bound_base_, now - bound_start_));
  }
  if (now - bound_start_ > kLongestLowerBound) {
    bound_start_ = now;
    bound_base_ = total_bytes;
  }
  LiftIfUsed(now, total_bytes);
  total_acknowledged_ = total_bytes;
  last_growth_ = now;
}

bool BandwidthEstimator::IsLowerBound(Micros duration, int64_t bytes) const {
  if (duration <= 0) return false;
  if (KnownKbps() == 0 && options_.least_burst > 0) return bytes >= kLeastFirstBytes;
  return bytes >= options_.least_burst || duration >= kLeastBoundTime;
}

void BandwidthEstimator::LiftIfUsed(Micros now, int64_t total_bytes) {
  if (now - quiet_start_ < kQuietTime) return;
  const double used = ToKbps(total_bytes - quiet_base_, now - quiet_start_);
  const double known = KnownKbps();
  if (known > 0 && used >= kUsedShare * known) {
    if (busy_time_ > 0) {
      lift_ = next_lift_ * known / MeanKbps();
    } else {
      AddLowerBound(now, next_lift_ * known);
    }
    next_lift_ = std::min(kFirstLift * next_lift_, kMostLift);
  }
  quiet_start_ = now;
  quiet_base_ = total_bytes;
}

void BandwidthEstimator::AddMeasurement(const Measurement& measurement) {
  measurements_.push_back(measurement);
  busy_time_ += measurement.duration;
  busy_bytes_ += measurement.bytes;
  while (measurements_.size() > 1) {
    const Measurement& oldest = measurements_.front();
    const Micros left = busy_time_ - oldest.duration;
    const bool old = measurement.time - oldest.time > options_.max_age_us;
    if (left < options_.window_us && !(old && left >= kEnoughBusyTime)) break;
    busy_time_ = left;
    busy_bytes_ -= oldest.bytes;
    measurements_.pop_front();
  }
  // A measurement knows better than any earlier lower bound, once there is enough of it.
  if (busy_time_ >= kEnoughBusyTime) {
    while (!lower_bounds_.empty() &&
           lower_bounds_.front().time + kEnoughBusyTime < measurement.time) {
      lower_bounds_.pop_front();
    }
  }
}

void BandwidthEstimator::AddLowerBound(Micros now, double kbps) {
  while (!lower_bounds_.empty() && lower_bounds_.back().kbps <= kbps) lower_bounds_.pop_back();
  lower_bounds_.push_back({now, kbps});
  while (now - lower_bounds_.front().time > options_.max_age_us) lower_bounds_.pop_front();
}

double BandwidthEstimator::MeanKbps() const {
  return busy_time_ == 0 ? 0 : ToKbps(busy_bytes_, busy_time_);
}

double BandwidthEstimator::KnownKbps() const {
  const double kbps = lift_ * MeanKbps();
  return lower_bounds_.empty() ? kbps : std::max(kbps, lower_bounds_.front().kbps);
}

double BandwidthEstimator::Kbps(Micros now) const {
  const double kbps = KnownKbps();
  if (sent_.empty()) return kbps;
  const Micros expected = std::max(last_growth_, sent_.front().time + round_trip_);
  const Micros standstill = std::max<Micros>(0, now - expected - kAcknowledgementDelay);
  const auto window = static_cast<double>(options_.window_us);
  return kbps * window / (window + static_cast<double>(standstill));
}

}  // namespace stac
