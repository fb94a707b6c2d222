#include "stac/transport/send_queue.h"

#include <limits>
#include <utility>

namespace stac {

Status SendQueue::Push(ByteSpan message, Micros now, Micros ttl_us) {
  Expire(now);
  if (!empty() && bytes_ + message.size() > max_bytes_) {
    if (ttl_us == 0) {
      return Fail("the send queue is full ({} bytes): the network carries less than is sent",
                  bytes_);
    }
    ++expired_;
    return OkStatus();
  }
  constexpr Micros kNever = std::numeric_limits<Micros>::max();
  const Micros deadline = ttl_us == 0 || ttl_us > kNever - now ? kNever : now + ttl_us;
  messages_.push_back({Bytes(message.begin(), message.end()), deadline});
  bytes_ += message.size();
  return OkStatus();
}

std::optional<Bytes> SendQueue::Pop(Micros now) {
  Expire(now);
  if (messages_.empty()) return std::nullopt;
  Bytes message = std::move(messages_.front().message);
  messages_.pop_front();
  bytes_ -= message.size();
  return message;
}

int64_t SendQueue::Clear() {
  const auto count = static_cast<int64_t>(messages_.size());
  messages_.clear();
  bytes_ = 0;
  return count;
}

void SendQueue::Expire(Micros now) {
  expired_ += static_cast<int64_t>(std::erase_if(messages_, [&](const Entry& entry) {
    if (entry.deadline > now) return false;
    bytes_ -= entry.message.size();
    return true;
  }));
}

}  // namespace stac
