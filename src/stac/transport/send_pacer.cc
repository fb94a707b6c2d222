#include "stac/transport/send_pacer.h"

#include <algorithm>

namespace stac {
namespace {

constexpr double kGain = 2;
constexpr double kFirstBytesInFlight = 24'000;  // nothing is known yet
constexpr double kLeastBytesInFlight = 12'000;
constexpr double kLeastBytesPerSecond = 250'000;
// Acknowledgements come every 10 ms and are seen a little later.
constexpr double kAcknowledgementMs = 20;
// The caller looks every 2 ms or later: what it misses may be sent at once.
constexpr Micros kBurst = 5'000;
constexpr Micros kRoundTripPeriod = 10'000'000;

}  // namespace

void SendPacer::OnSent(Micros now, int64_t bytes) {
  sent_ += bytes;
  next_send_ = std::max(next_send_, now - kBurst) +
               static_cast<Micros>(static_cast<double>(bytes) * 1e6 / BytesPerSecond(now));
  marks_.push_back({sent_, repeated_});
  estimator_.OnSent(now, sent_ + repeated_);
  attempt_.OnSent(now, sent_ + repeated_);
}

void SendPacer::OnRepeated(Micros now, int64_t total_bytes) {
  repeated_ = std::max(repeated_, total_bytes - forgotten_);
  if (BytesInFlight() == 0) return ForgetRepeated();
  estimator_.OnSent(now, sent_ + repeated_);
  attempt_.OnSent(now, sent_ + repeated_);
}

// Nobody will acknowledge what was repeated after the last packet.
void SendPacer::ForgetRepeated() {
  forgotten_ += repeated_ - passed_;
  repeated_ = passed_;
}

void SendPacer::OnAcknowledged(Micros now, int64_t total_bytes, double rtt_ms) {
  round_trip_ms_ = rtt_ms;
  if (now - period_start_ > kRoundTripPeriod) {
    shortest_ms_[1] = shortest_ms_[0];
    shortest_ms_[0] = rtt_ms;
    period_start_ = now;
  }
  shortest_ms_[0] = std::min(shortest_ms_[0], rtt_ms);
  acknowledged_ = std::max(acknowledged_, total_bytes);
  const auto shortest = static_cast<Micros>(ShortestMs() * 1000);
  // First in, first out: what was repeated before an acknowledged packet has passed too.
  for (; !marks_.empty() && marks_.front().sent <= acknowledged_; marks_.pop_front()) {
    passed_ = marks_.front().repeated;
  }
  for (BandwidthEstimator* estimator : {&estimator_, &attempt_}) {
    estimator->OnAcknowledged(now, acknowledged_ + passed_, shortest);
    if (BytesInFlight() == 0) estimator->OnWithdrawn(repeated_ - passed_);
  }
  if (BytesInFlight() == 0) ForgetRepeated();
}

double SendPacer::ShortestMs() const { return std::min(shortest_ms_[0], shortest_ms_[1]); }

double SendPacer::BytesPerSecond(Micros now) const {
  return std::max(kGain * attempt_.Kbps(now) * 125, kLeastBytesPerSecond);
}

bool SendPacer::MaySend(Micros now) const {
  if (now < next_send_) return false;
  const double kbps = attempt_.Kbps(now);
  const double enough = kbps == 0 ? kFirstBytesInFlight
                                  : std::max(kGain * kbps / 8 * (ShortestMs() + kAcknowledgementMs),
                                             kLeastBytesInFlight);
  return static_cast<double>(BytesInFlight()) < enough;
}

}  // namespace stac
