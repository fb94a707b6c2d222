#pragma once

#include <deque>
#include <optional>
#include <random>

#include "stac/adapt/bandwidth_estimator.h"
#include "stac/adapt/trace.h"
#include "stac/transport/send_queue.h"
#include "stac/transport/simulated_link.h"

namespace stac {

// One direction of a simulated link; see SimulatedLink for the model. Times never decrease from
// call to call.
class SimulatedChannel {
 public:
  // `round_trip_us`: after how long the sender knows what arrived, and what a loss costs.
  SimulatedChannel(const SimulatedDirection& direction, Micros round_trip_us,
                   size_t send_queue_bytes, uint64_t seed);

  Status Send(ByteSpan message, Micros now, Micros ttl_us);
  std::optional<Bytes> Receive(Micros now);
  int64_t DiscardUnsent(Micros now);
  std::optional<Micros> NextEvent(Micros now);

  // The sender's part of the statistics.
  LinkStats SenderStats(Micros now);

 private:
  // A message in the hands of the network: from its first to its last bit.
  struct Transfer {
    Bytes message;
    Micros start;
    Micros end;
    Micros extra_delay;  // jitter and retransmission
  };
  // The same for the estimator, which sees it a round trip later.
  struct Record {
    Micros start;
    Micros end;
    int64_t bytes;      // arrived in the end
    int64_t announced;  // before the rest was discarded
    Micros observed_until;
    bool is_announced = false;
  };
  struct Arrival {
    Micros time;
    Bytes message;
  };

  void Advance(Micros now);
  // Starts sending the next message at `time`, if one is left that has not expired.
  void StartNext(Micros time);
  double Draw();  // 0..1
  // Shows the estimator what happened until `time`.
  void Observe(Micros time);
  void Announce(Record& record);
  int64_t ArrivedBy(const Record& record, Micros time) const;

  SimulatedDirection direction_;
  Micros round_trip_;
  TraceIntegral integral_;
  SendQueue queue_;
  std::mt19937_64 random_;
  std::optional<Transfer> transfer_;
  Micros free_at_ = 0;  // nothing is sent before
  Micros last_arrival_ = 0;
  std::deque<Arrival> arrivals_;
  LinkStats stats_;
  int64_t discarded_ = 0;
  int64_t handed_over_ = 0;  // bytes of all transfers, less what was discarded

  BandwidthEstimator estimator_;
  std::deque<Record> records_;  // not yet completely observed
  int64_t observed_sent_ = 0;
  int64_t observed_arrived_ = 0;
};

}  // namespace stac
