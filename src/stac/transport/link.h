#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>

#include "stac/base/bytes.h"
#include "stac/base/clock.h"
#include "stac/base/result.h"

namespace stac {

struct LinkStats {
  int64_t bytes_sent = 0;  // handed to the network
  int64_t bytes_received = 0;
  int64_t bytes_acknowledged = 0;  // of bytes_sent, those that are known to have arrived
  int64_t messages_sent = 0;
  int64_t messages_received = 0;
  int64_t messages_expired = 0;  // dropped before they could be sent: too old, or the queue full
  double rtt_ms = 0;
  double estimated_kbps = 0;  // what the link carries in the sending direction; 0: unknown
  int64_t unsent_bytes = 0;   // queued, or sent but not known to have arrived
};

// A two-way channel of whole messages, which arrive in the order they were sent in.
// Implementations: SRT, in-process, simulated.
class Link {
 public:
  virtual ~Link() = default;
  // Queues a message of 1..kMaxMessageBytes bytes; never blocks. A message whose sending has not
  // begun within ttl_us is dropped and counted as expired (0: never). Fails if the link is down,
  // or if a message without time-to-live does not fit the queue.
  virtual Status Send(ByteSpan message, Micros ttl_us) = 0;
  // The next message, or nullopt when none is waiting; never blocks. Fails when the link is down
  // and nothing is left to read.
  virtual Result<std::optional<Bytes>> Receive() = 0;
  // Waits until a message is waiting, the link is down, or the time is over.
  virtual void Wait(Micros timeout_us) = 0;
  // False once either side has closed the link or it broke; messages may still be waiting.
  virtual bool up() const = 0;
  virtual LinkStats Stats() const = 0;
  // Ends the link for both sides; what the other side has not read yet stays readable there. May
  // block for half a second, until the other side has acknowledged what was sent.
  virtual void Close() = 0;
};

// Messages larger than this are refused on both sides.
inline constexpr size_t kMaxMessageBytes = 16u << 20;

// The sentence for a message that no link accepts, or success.
Status CheckMessageSize(size_t bytes);

// Two ends of an in-process link; thread-safe; messages arrive at once. An end that does not read
// has at most 64 MiB waiting; what comes on top is dropped as if it had expired.
struct LinkPair {
  std::unique_ptr<Link> a;
  std::unique_ptr<Link> b;
};
LinkPair MakeLoopback();

}  // namespace stac
