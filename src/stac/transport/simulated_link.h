#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>

#include "stac/adapt/trace.h"
#include "stac/base/clock.h"
#include "stac/transport/link.h"

namespace stac {

// One direction of a simulated link.
struct SimulatedDirection {
  Trace trace;               // bandwidth, from the clock's time 0 on
  Micros delay_us = 20'000;  // propagation
  Micros jitter_us = 0;      // uniform extra delay per message, 0..jitter_us; order is kept
  double loss = 0;           // share of 1456-byte packets lost, 0..0.5: each is sent again, and
                             // every round of that delays the message by a round trip
};

struct SimulatedLinkOptions {
  SimulatedDirection up;  // device to server
  SimulatedDirection down;
  size_t send_queue_bytes = 4u << 20;
  uint64_t seed = 1;  // of jitter and loss
};

// An end of a link in virtual time, with the model of the paper's section VIII plus propagation
// delay, jitter and loss: messages wait in a first-in-first-out queue (what it drops: SendQueue)
// and are sent one by one at the trace's instantaneous bandwidth. A message whose turn has
// come is not dropped any more, even in an outage, except by DiscardUnsent(). Time is read from the
// clock at every call and moves only there: Wait() returns at once. estimated_kbps comes from what
// has arrived a round trip ago. Not thread-safe; deterministic.
class SimulatedLink : public Link {
 public:
  // The earliest time after now at which something changes without being called, in either
  // direction (a message arrives or its sending ends); nullopt if nothing is on its way.
  virtual std::optional<Micros> NextEvent() const = 0;
  // Forgets what this end has not sent completely; returns the number of messages, which count as
  // expired. "Once a new configuration is executed, previous frames that did not complete
  // transmission are discarded."
  virtual int64_t DiscardUnsent() = 0;
};

struct SimulatedLinkPair {
  std::unique_ptr<SimulatedLink> device;
  std::unique_ptr<SimulatedLink> server;
};
// The clock must outlive both ends.
SimulatedLinkPair MakeSimulatedLink(const SimulatedLinkOptions& options, const ManualClock* clock);

}  // namespace stac
