#pragma once

#include <cstdint>
#include <deque>

#include "stac/adapt/bandwidth_estimator.h"
#include "stac/base/clock.h"

namespace stac {

// How fast to send and how much to keep in flight, from what was acknowledged: twice the estimated
// bandwidth, and twice what the link holds in a round trip. So an estimate that is too low doubles
// with every round trip in which there is enough to send, and one that is too high fills the
// bottleneck's queue only a little. Not thread-safe.
class SendPacer {
 public:
  // `bytes` were handed to the network.
  void OnSent(Micros now, int64_t bytes);
  // `total_bytes` were sent again so far, unasked or because they were lost. They take the link's
  // time too, so they count in what it carries; after a standstill only up to as many as arrive
  // for the first time, as a full queue on the way drops most of them.
  void OnRepeated(Micros now, int64_t total_bytes);
  // `total_bytes` of all that was sent have arrived; rtt_ms: the current round trip time.
  void OnAcknowledged(Micros now, int64_t total_bytes, double rtt_ms);

  // False while enough is in flight, or the last bytes were sent too recently.
  bool MaySend(Micros now) const;
  // Nothing was sent or acknowledged for a while, although something is in flight: its last packet
  // may be lost, which the receiver cannot know before another one comes. To be asked for once for
  // each such packet, which is sent whatever MaySend says; the next one is due after twice the
  // time.
  bool TakeProbe(Micros now);
  // Nothing arrived for ten seconds, although the peer lives: its buffers were full, it dropped
  // what came then, and does not ask for it.
  bool StandsStill(Micros now) const;

  int64_t sent() const { return sent_; }
  int64_t acknowledged() const { return acknowledged_; }
  int64_t BytesInFlight() const { return sent_ - acknowledged_; }
  double round_trip_ms() const { return round_trip_ms_; }
  // What the link is known to carry.
  double EstimateKbps(Micros now) const { return estimator_.Kbps(now); }

 private:
  // A packet, and what had been repeated before it.
  struct Mark {
    Micros time;
    int64_t sent;
    int64_t repeated;
  };
  void ForgetRepeated();
  void ForgetDropped(int64_t bytes);
  double ShortestMs() const;
  double BytesPerSecond(Micros now) const;

  BandwidthEstimator estimator_;
  // What is tried: every packet that passes counts, or on a short path, where each is acknowledged
  // before the next may leave, the rate would never grow.
  BandwidthEstimator attempt_{{.least_burst = 0}};
  int64_t sent_ = 0;
  int64_t acknowledged_ = 0;
  std::deque<Mark> marks_;  // of what is not acknowledged yet
  int64_t repeated_ = 0;    // all that counts
  int64_t passed_ = 0;      // of it, what has passed the link for certain
  int64_t forgotten_ = 0;   // repeated, and not counted: nothing was sent after it
  Micros last_arrival_ = 0;
  Micros last_sent_ = 0;
  int probes_ = 0;                        // since the last arrival
  double round_trip_ms_ = 0;              // current
  double shortest_ms_[2] = {1000, 1000};  // of the running and the last complete period
  Micros period_start_ = 0;
  Micros next_send_ = 0;
};

}  // namespace stac
