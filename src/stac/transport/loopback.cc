#include <condition_variable>
#include <deque>
#include <mutex>
#include <utility>

#include "stac/transport/link.h"

namespace stac {
namespace {

constexpr size_t kMaxWaitingBytes = 64u << 20;

// What both ends share: per end, the messages that wait for it.
struct Shared {
  std::mutex mutex;
  std::condition_variable changed;
  bool up = true;
  struct Inbox {
    std::deque<Bytes> messages;
    size_t bytes = 0;
    LinkStats stats;  // of this end
  } inbox[2];
};

class LoopbackLink final : public Link {
 public:
  LoopbackLink(std::shared_ptr<Shared> shared, int end) : shared_(std::move(shared)), end_(end) {}
  ~LoopbackLink() override { LoopbackLink::Close(); }

  Status Send(ByteSpan message, Micros ttl_us) override {
    STAC_RETURN_IF_ERROR(CheckMessageSize(message.size()));
    const std::lock_guard lock(shared_->mutex);
    if (!shared_->up) return Fail("the link is closed");
    LinkStats& stats = shared_->inbox[end_].stats;
    Shared::Inbox& peer = shared_->inbox[1 - end_];
    if (peer.bytes + message.size() > kMaxWaitingBytes) {
      if (ttl_us == 0) return Fail("the other side has {} unread bytes waiting", peer.bytes);
      ++stats.messages_expired;
      return OkStatus();
    }
    const auto size = static_cast<int64_t>(message.size());
    peer.messages.emplace_back(message.begin(), message.end());
    peer.bytes += message.size();
    stats.bytes_sent += size;
    stats.bytes_acknowledged += size;
    ++stats.messages_sent;
    shared_->changed.notify_all();
    return OkStatus();
  }

  Result<std::optional<Bytes>> Receive() override {
    const std::lock_guard lock(shared_->mutex);
    Shared::Inbox& inbox = shared_->inbox[end_];
    if (inbox.messages.empty()) {
      if (!shared_->up) return Fail("the link is closed");
      return std::nullopt;
    }
    Bytes message = std::move(inbox.messages.front());
    inbox.messages.pop_front();
    inbox.bytes -= message.size();
    inbox.stats.bytes_received += static_cast<int64_t>(message.size());
    ++inbox.stats.messages_received;
    return message;
  }

  void Wait(Micros timeout_us) override {
    std::unique_lock lock(shared_->mutex);
    shared_->changed.wait_for(lock, std::chrono::microseconds(timeout_us), [&] {
      return !shared_->up || !shared_->inbox[end_].messages.empty();
    });
  }

  bool up() const override {
    const std::lock_guard lock(shared_->mutex);
    return shared_->up;
  }

  LinkStats Stats() const override {
    const std::lock_guard lock(shared_->mutex);
    return shared_->inbox[end_].stats;
  }

  void Close() override {
    const std::lock_guard lock(shared_->mutex);
    shared_->up = false;
    shared_->changed.notify_all();
  }

 private:
  std::shared_ptr<Shared> shared_;
  int end_;
};

}  // namespace

Status CheckMessageSize(size_t bytes) {
  if (bytes >= 1 && bytes <= kMaxMessageBytes) return OkStatus();
  return Fail("a message has {} bytes; links carry 1..{}", bytes, kMaxMessageBytes);
}

LinkPair MakeLoopback() {
  auto shared = std::make_shared<Shared>();
  return {std::make_unique<LoopbackLink>(shared, 0), std::make_unique<LoopbackLink>(shared, 1)};
}

}  // namespace stac
