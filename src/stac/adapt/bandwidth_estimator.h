#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>

#include "stac/base/clock.h"

namespace stac {

// Estimates what a link carries from the bytes that were sent and acknowledged, for senders that
// are often idle. Only time in which the link was certainly busy counts as a measurement: the time
// between two acknowledgements, if all bytes acknowledged at its end had reached the bottleneck
// at its start and bytes remained behind them. The estimate is the harmonic mean of those rates
// (all bytes over all time) in a window. What is sent while the link has time to spare gives only
// a lower bound, which may raise the estimate and never drags it down; an idle sender keeps its
// estimate. A sender that uses the estimate and never finds the link busy is told more every
// second, and more each time, until there is a measurement again: who is told too little sends so
// little that nothing can be measured. It is never told more than five times what passed.
// While sent bytes stay without acknowledgement the estimate decays.
// Times are the caller's clock. Not thread-safe.
class BandwidthEstimator {
 public:
  struct Options {
    Micros window_us = 1'000'000;   // busy time that the mean covers
    Micros max_age_us = 2'000'000;  // older measurements go once there are newer ones
    // Fewer bytes in under 100 ms are no lower bound once something is known: the first packet
    // after an idle time may pass at once, whatever the link carries (a token bucket, an empty
    // buffer). 0: every acknowledgement counts.
    int64_t least_burst = 4500;
  };
  BandwidthEstimator() = default;
  explicit BandwidthEstimator(const Options& options) : options_(options) {}

  // `total_bytes` have been handed to the network so far; decreases only by OnWithdrawn.
  void OnSent(Micros now, int64_t total_bytes);
  // `bytes` of what was sent will not arrive; taken as the last ones. At most what is
  // unacknowledged.
  void OnWithdrawn(int64_t bytes);
  // `total_bytes` of them are known to have arrived. round_trip_us: the link's shortest. May be
  // called as often as one likes; the times at which the total grows are what counts.
  void OnAcknowledged(Micros now, int64_t total_bytes, Micros round_trip_us);

  // The estimate in kb/s; 0 before the first measurement.
  double Kbps(Micros now) const;

 private:
  struct Sent {
    Micros time;
    int64_t total;
  };
  struct Measurement {
    Micros time;  // when it ended
    Micros duration;
    int64_t bytes;
  };
  static constexpr double kFirstLift = 1.25;
  void AddMeasurement(const Measurement& measurement);
  bool IsLowerBound(Micros duration, int64_t bytes) const;
  void LiftIfUsed(Micros now, int64_t total_bytes);
  void AddLowerBound(Micros now, double kbps);
  double MeanKbps() const;
  double KnownKbps() const;  // whatever stands still

  Options options_;
  std::deque<Sent> sent_;  // not yet acknowledged; the front holds the first such byte
  int64_t total_sent_ = 0;
  int64_t total_acknowledged_ = 0;
  Micros round_trip_ = 0;
  Micros last_growth_ = 0;  // when the acknowledged total last grew
  Micros burst_start_ = 0;  // when the first byte after an idle time was sent
  Micros bound_start_ = 0;  // where the running lower bound starts
  int64_t bound_base_ = 0;  // acknowledged by then
  std::deque<Measurement> measurements_;
  Micros quiet_start_ = 0;         // since then the link was never found busy
  int64_t quiet_base_ = 0;         // acknowledged by then
  double lift_ = 1;                // of the measured mean, for what has passed since
  double next_lift_ = kFirstLift;  // by how much it grows next time
  Micros busy_time_ = 0;           // sums over measurements_
  int64_t busy_bytes_ = 0;
  struct LowerBound {
    Micros time;
    double kbps;
  };
  std::deque<LowerBound> lower_bounds_;  // decreasing rates
};

}  // namespace stac
