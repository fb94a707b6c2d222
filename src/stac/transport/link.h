#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "stac/base/bytes.h"
#include "stac/base/clock.h"
#include "stac/base/result.h"

namespace stac {

struct LinkStats {
  int64_t bytes_sent = 0;
  int64_t bytes_received = 0;
  int64_t messages_sent = 0;
  int64_t messages_received = 0;
  int64_t messages_expired = 0;   // too old before they could be sent
  double rtt_ms = 0;
  double estimated_kbps = 0;      // 0: unknown
  int64_t unsent_bytes = 0;       // in the send queue
};

// A two-way channel of whole messages. Implementations: SRT, in-process, simulated.
class Link {
 public:
  virtual ~Link() = default;
  // Queues a message; never blocks. A message not sent within ttl_us is dropped (0: never).
  // Fails if the link is down.
  virtual Status Send(ByteSpan message, Micros ttl_us) = 0;
  // The next message, or nullopt when none is waiting; never blocks. Fails when the link is down
  // and nothing is left to read.
  virtual Result<std::optional<Bytes>> Receive() = 0;
  // Waits until a message is waiting, the link is down, or the time is over.
  virtual void Wait(Micros timeout_us) = 0;
  virtual bool up() const = 0;
  virtual LinkStats Stats() const = 0;
  virtual void Close() = 0;
};

// Messages larger than this are refused on both sides.
inline constexpr size_t kMaxMessageBytes = 16u << 20;

// Two ends of an in-process link; thread-safe; messages arrive at once.
struct LinkPair {
  std::unique_ptr<Link> a;
  std::unique_ptr<Link> b;
};
LinkPair MakeLoopback();

}  // namespace stac
