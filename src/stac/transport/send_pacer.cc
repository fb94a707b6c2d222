#include "stac/transport/send_pacer.h"

#include <algorithm>

namespace stac {
namespace {

constexpr double kGain = 2;
// A link of 60 kb/s holds them for half a second. TCP begins with as many (RFC 3390).
constexpr double kFirstBytesInFlight = 4'000;
// More, up to so many, where they pass in so long: acknowledgements that are late because packets
// were lost shall not stop a fast link.
constexpr double kLeastBytesInFlight = 12'000;
constexpr double kLeastInFlightMs = 200;
constexpr double kLeastBytesPerSecond = 250'000;
// Acknowledgements come every 10 ms and are seen a little later.
constexpr double kAcknowledgementMs = 20;
// The caller looks every 2 ms or later: what it misses may be sent at once.
constexpr Micros kBurst = 5'000;
constexpr Micros kRoundTripPeriod = 10'000'000;
// Packets that are lost one by one come again sooner.
constexpr Micros kStood = 1'000'000;
constexpr Micros kStandstill = 10'000'000;
// Twice the current round trip, but late acknowledgements are no reason to ask.
constexpr Micros kFirstProbe = 200'000;
constexpr int kMostDoublings = 3;

}  // namespace

void SendPacer::OnSent(Micros now, int64_t bytes) {
  sent_ += bytes;
  last_sent_ = now;
  next_send_ = std::max(next_send_, now - kBurst) +
               static_cast<Micros>(static_cast<double>(bytes) * 1e6 / BytesPerSecond(now));
  marks_.push_back({now, sent_, repeated_});
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
  const int64_t arrived = std::max<int64_t>(0, total_bytes - acknowledged_);
  acknowledged_ += arrived;
  const bool stood = !marks_.empty() && now - std::max(last_arrival_, marks_.front().time) > kStood;
  if (arrived > 0) {
    last_arrival_ = now;
    probes_ = 0;
  }
  const auto shortest = static_cast<Micros>(ShortestMs() * 1000);
  // First in, first out: what was repeated before an acknowledged packet has passed too.
  int64_t passed = passed_;
  for (; !marks_.empty() && marks_.front().sent <= acknowledged_; marks_.pop_front()) {
    passed = marks_.front().repeated;
  }
  // Unless it stood before a full queue.
  const int64_t dropped = stood ? std::max<int64_t>(0, passed - passed_ - arrived) : 0;
  passed_ = passed - dropped;
  ForgetDropped(dropped);
  for (BandwidthEstimator* estimator : {&estimator_, &attempt_}) {
    estimator->OnAcknowledged(now, acknowledged_ + passed_, shortest);
    if (BytesInFlight() == 0) estimator->OnWithdrawn(repeated_ - passed_);
  }
  if (BytesInFlight() == 0) ForgetRepeated();
}

// A queue on the way was full. Only as much as arrived for the first time is sure to have passed.
void SendPacer::ForgetDropped(int64_t bytes) {
  if (bytes == 0) return;
  for (Mark& mark : marks_) mark.repeated -= bytes;
  repeated_ -= bytes;
  forgotten_ += bytes;
  for (BandwidthEstimator* estimator : {&estimator_, &attempt_}) estimator->OnWithdrawn(bytes);
}

double SendPacer::ShortestMs() const { return std::min(shortest_ms_[0], shortest_ms_[1]); }

double SendPacer::BytesPerSecond(Micros now) const {
  return std::max(kGain * attempt_.Kbps(now) * 125, kLeastBytesPerSecond);
}

bool SendPacer::MaySend(Micros now) const {
  if (now < next_send_) return false;
  const double held = attempt_.Kbps(now) / 8 * (ShortestMs() + kAcknowledgementMs);
  const double least = std::clamp(estimator_.Kbps(now) / 8 * kLeastInFlightMs, kFirstBytesInFlight,
                                  kLeastBytesInFlight);
  return static_cast<double>(BytesInFlight()) < std::max(kGain * held, least);
}

bool SendPacer::TakeProbe(Micros now) {
  if (BytesInFlight() == 0) return false;
  const Micros wait = std::max(kFirstProbe, static_cast<Micros>(2000 * round_trip_ms_));
  const Micros quiet = now - std::max(last_arrival_, last_sent_);
  if (quiet < wait << std::min(probes_, kMostDoublings)) return false;
  ++probes_;
  return true;
}

bool SendPacer::StandsStill(Micros now) const {
  return !marks_.empty() && now - std::max(last_arrival_, marks_.front().time) > kStandstill;
}

}  // namespace stac
