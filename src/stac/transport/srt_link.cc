#include <atomic>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <utility>

#include "stac/base/log.h"
#include "stac/transport/send_queue.h"
#include "stac/transport/srt_socket_internal.h"

namespace stac {
namespace {

using std::chrono::milliseconds;

// SRT tells nobody that data were acknowledged, so the sending thread looks while some are in
// flight. SRT itself acknowledges every 10 ms or 64 packets.
constexpr milliseconds kPollInterval{2};
constexpr int kReceiveTimeoutMs = 100;
constexpr milliseconds kDrainTime{500};
constexpr size_t kMaxMessagesInFlight = 2;

class SrtLink final : public Link {
 public:
  SrtLink(SrtSocket socket, std::string peer, const SrtOptions& options)
      : socket_(socket.Release()),
        peer_(std::move(peer)),
        max_inbox_bytes_(options.receive_queue_bytes),
        queue_(options.send_queue_bytes) {
    sender_ = std::thread([this] { SendLoop(); });
    receiver_ = std::thread([this] { ReceiveLoop(); });
  }
  ~SrtLink() override { SrtLink::Close(); }

  Status Send(ByteSpan message, Micros ttl_us) override;
  Result<std::optional<Bytes>> Receive() override;
  void Wait(Micros timeout_us) override;
  bool up() const override;
  LinkStats Stats() const override;
  void Close() override;

 private:
  void SendLoop();
  void ReceiveLoop();
  // With mutex_ held: forgets the messages that SRT no longer holds.
  void UpdateInFlight();
  void GoDown(std::string reason);
  // Waits for space in the inbox; false when the link is being closed.
  bool WaitForInbox();
  // True if SRT holds more of one unfinished message than any message may have.
  bool IncomingMessageTooLarge() const;

  const SRTSOCKET socket_;
  const std::string peer_;
  const size_t max_inbox_bytes_;
  const SystemClock clock_;

  mutable std::mutex mutex_;
  std::condition_variable inbox_changed_;
  std::condition_variable queue_changed_;
  SendQueue queue_;
  std::deque<size_t> in_flight_;  // sizes, oldest first
  std::deque<Bytes> inbox_;
  size_t inbox_bytes_ = 0;
  std::string down_reason_;  // empty: up
  bool closing_ = false;
  LinkStats stats_;

  std::once_flag closed_;
  std::thread sender_;
  std::thread receiver_;
};

Status SrtLink::Send(ByteSpan message, Micros ttl_us) {
  STAC_RETURN_IF_ERROR(CheckMessageSize(message.size()));
  const std::lock_guard lock(mutex_);
  if (!down_reason_.empty()) return Fail("{}", down_reason_);
  STAC_RETURN_IF_ERROR(queue_.Push(message, clock_.Now(), ttl_us));
  queue_changed_.notify_one();
  return OkStatus();
}

Result<std::optional<Bytes>> SrtLink::Receive() {
  const std::lock_guard lock(mutex_);
  if (inbox_.empty()) {
    if (!down_reason_.empty()) return Fail("{}", down_reason_);
    return std::nullopt;
  }
  Bytes message = std::move(inbox_.front());
  inbox_.pop_front();
  inbox_bytes_ -= message.size();
  stats_.bytes_received += static_cast<int64_t>(message.size());
  ++stats_.messages_received;
  inbox_changed_.notify_all();
  return message;
}

void SrtLink::Wait(Micros timeout_us) {
  std::unique_lock lock(mutex_);
  inbox_changed_.wait_for(lock, std::chrono::microseconds(timeout_us),
                          [&] { return !inbox_.empty() || !down_reason_.empty(); });
}

bool SrtLink::up() const {
  const std::lock_guard lock(mutex_);
  return down_reason_.empty();
}

LinkStats SrtLink::Stats() const {
  const std::lock_guard lock(mutex_);
  LinkStats stats = stats_;
  SRT_TRACEBSTATS srt{};
  if (down_reason_.empty() && srt_bistats(socket_, &srt, 0, 1) != SRT_ERROR) {
    stats.rtt_ms = srt.msRTT;
  }
  stats.messages_expired = queue_.expired();
  stats.unsent_bytes =
      static_cast<int64_t>(queue_.bytes()) + stats.bytes_sent - stats.bytes_acknowledged;
  return stats;
}

void SrtLink::Close() {
  std::call_once(closed_, [this] {
    {
      const std::lock_guard lock(mutex_);
      closing_ = true;
      queue_changed_.notify_all();
      inbox_changed_.notify_all();
    }
    sender_.join();  // sends what is queued, within limits
    GoDown("the link is closed");
    srt_close(socket_);  // wakes the receiving thread
    receiver_.join();
  });
}

void SrtLink::GoDown(std::string reason) {
  const std::lock_guard lock(mutex_);
  if (down_reason_.empty()) down_reason_ = std::move(reason);
  queue_changed_.notify_all();
  inbox_changed_.notify_all();
}

void SrtLink::UpdateInFlight() {
  size_t blocks = 0;
  size_t unacknowledged = 0;
  if (srt_getsndbuffer(socket_, &blocks, &unacknowledged) == SRT_ERROR) return;
  stats_.bytes_acknowledged =
      std::max(stats_.bytes_acknowledged, stats_.bytes_sent - static_cast<int64_t>(unacknowledged));
  size_t held = 0;
  for (const size_t size : in_flight_) held += size;
  while (!in_flight_.empty() && held - in_flight_.front() >= unacknowledged) {
    held -= in_flight_.front();
    in_flight_.pop_front();
  }
}

void SrtLink::SendLoop() {
  std::unique_lock lock(mutex_);
  std::optional<std::chrono::steady_clock::time_point> give_up;
  while (down_reason_.empty()) {
    UpdateInFlight();
    queue_.Expire(clock_.Now());
    if (closing_) {
      if (queue_.empty() && in_flight_.empty()) return;
      if (!give_up) give_up = std::chrono::steady_clock::now() + kDrainTime;
      if (std::chrono::steady_clock::now() >= *give_up) return;
    }
    if (in_flight_.size() < kMaxMessagesInFlight) {
      if (const auto message = queue_.Pop(clock_.Now())) {
        in_flight_.push_back(message->size());
        stats_.bytes_sent += static_cast<int64_t>(message->size());
        ++stats_.messages_sent;
        lock.unlock();
        SRT_MSGCTRL control = srt_msgctrl_default;
        control.inorder = 1;
        const int sent = srt_sendmsg2(socket_, reinterpret_cast<const char*>(message->data()),
                                      static_cast<int>(message->size()), &control);
        if (sent == SRT_ERROR) {
          return GoDown(fmt::format("the connection to {} broke: {}", peer_, LastSrtError()));
        }
        lock.lock();
        continue;
      }
    }
    if (queue_.empty() && in_flight_.empty()) {
      queue_changed_.wait(lock,
                          [&] { return !queue_.empty() || closing_ || !down_reason_.empty(); });
    } else {
      queue_changed_.wait_for(lock, kPollInterval);
    }
  }
}

bool SrtLink::WaitForInbox() {
  std::unique_lock lock(mutex_);
  inbox_changed_.wait(lock, [&] { return inbox_bytes_ < max_inbox_bytes_ || closing_; });
  return !closing_;
}

bool SrtLink::IncomingMessageTooLarge() const {
  SRT_TRACEBSTATS srt{};
  if (srt_bistats(socket_, &srt, 0, 1) == SRT_ERROR) return false;
  return srt.byteRcvBuf > static_cast<int64_t>(kMaxMessageBytes);
}

void SrtLink::ReceiveLoop() {
  // Not initialised: only the pages that the largest message reaches are ever committed.
  constexpr size_t kBufferBytes = kMaxMessageBytes + 1;
  const std::unique_ptr<char[]> buffer(new char[kBufferBytes]);
  while (WaitForInbox()) {
    SRT_MSGCTRL control = srt_msgctrl_default;
    const int size = srt_recvmsg2(socket_, buffer.get(), kBufferBytes, &control);
    if (size == SRT_ERROR) {
      const int error = srt_getlasterror(nullptr);
      if (error == SRT_ETIMEOUT || error == SRT_EASYNCRCV) {
        if (!IncomingMessageTooLarge()) continue;
        return GoDown(
            fmt::format("{} sent a message above the limit of {} bytes", peer_, kMaxMessageBytes));
      }
      return GoDown(fmt::format("{} closed the connection, or it broke", peer_));
    }
    if (static_cast<size_t>(size) > kMaxMessageBytes) {
      return GoDown(
          fmt::format("{} sent a message above the limit of {} bytes", peer_, kMaxMessageBytes));
    }
    if (size == 0) continue;
    const std::lock_guard lock(mutex_);
    inbox_.emplace_back(buffer.get(), buffer.get() + size);
    inbox_bytes_ += static_cast<size_t>(size);
    inbox_changed_.notify_all();
  }
}

}  // namespace

std::unique_ptr<Link> MakeSrtLink(SrtSocket socket, std::string peer, const SrtOptions& options) {
  // Sending never blocks; receiving blocks the receiving thread, which looks around in between.
  for (const Status& status :
       {SetSrtFlag(socket.id(), SRTO_SNDSYN, "non-blocking sending", false),
        SetSrtFlag(socket.id(), SRTO_RCVSYN, "blocking reception", true),
        SetSrtFlag(socket.id(), SRTO_RCVTIMEO, "the reception timeout", kReceiveTimeoutMs)}) {
    if (!status) spdlog::debug("{}: {}", peer, status.error().message);  // broken already
  }
  return std::make_unique<SrtLink>(std::move(socket), std::move(peer), options);
}

}  // namespace stac
