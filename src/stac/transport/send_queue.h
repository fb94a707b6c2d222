#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>

#include "stac/base/bytes.h"
#include "stac/base/clock.h"
#include "stac/base/result.h"

namespace stac {

// Messages that wait for the network, first in first out, at most max_bytes (an empty queue takes
// one message of any size). Drops: messages past their time-to-live, wherever they stand, and
// messages with a time-to-live that find it full. Times are the caller's. Not thread-safe.
class SendQueue {
 public:
  explicit SendQueue(size_t max_bytes) : max_bytes_(max_bytes) {}

  // ttl_us 0: never expires. Fails if such a message finds the queue full.
  Status Push(ByteSpan message, Micros now, Micros ttl_us);
  // The oldest message that has not expired, if any.
  std::optional<Bytes> Pop(Micros now);
  // Drops what has expired.
  void Expire(Micros now);
  // Forgets all; returns how many there were. They do not count as expired.
  int64_t Clear();

  bool empty() const { return messages_.empty(); }
  size_t bytes() const { return bytes_; }
  int64_t expired() const { return expired_; }

 private:
  struct Entry {
    Bytes message;
    Micros deadline;
  };
  size_t max_bytes_;
  std::deque<Entry> messages_;
  size_t bytes_ = 0;
  int64_t expired_ = 0;
};

}  // namespace stac
