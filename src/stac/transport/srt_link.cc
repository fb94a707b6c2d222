#include <algorithm>
#include <array>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <utility>

#include "stac/base/log.h"
#include "stac/transport/fragments.h"
#include "stac/transport/send_pacer.h"
#include "stac/transport/send_queue.h"
#include "stac/transport/srt_socket_internal.h"

namespace stac {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

// SRT tells nobody that data were acknowledged, so the sending thread looks while some are in
// flight. SRT itself acknowledges every 10 ms or 64 packets.
constexpr milliseconds kPollInterval{2};
// SRT wakes a blocked reader only when it sends an acknowledgement, although packets are readable
// before: waiting for that costs 12-20 ms per message on loopback, looking every 2 ms at most 2.
constexpr int kReceiveTimeoutMs = 2;
// SRT's receiving thread takes up new sockets every 10 ms; what arrives before is lost, and a last
// packet may come again too late for who closes the link then.
constexpr milliseconds kSilence{15};
// Of a message, where only the packet's arrival matters.
constexpr size_t kProbeBytes = 32;
// What a waiting message takes besides its bytes: so many of one byte are more than they seem.
constexpr size_t kInboxOverhead = 64;
// How long Close() waits for queued messages to arrive.
constexpr milliseconds kDrainTime{500};

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
  // The sending thread's steps, with mutex_ held except while SRT is called: that may take a
  // quarter of a second over a slow link, and no frame may wait for it. The first learns what was
  // acknowledged.
  void UpdatePace(std::unique_lock<std::mutex>& lock);
  // Sends packets of the current message while the pacer allows; false when the link broke.
  bool SendPackets(std::unique_lock<std::mutex>& lock);
  bool SendPart(size_t bytes, std::unique_lock<std::mutex>& lock);  // of the current message
  bool SendPacket(ByteSpan packet, std::unique_lock<std::mutex>& lock);
  void ReceiveLoop();
  // Waits for space in the inbox; false when the link is being closed.
  bool WaitForInbox();
  void GoDown(std::string reason);

  const SRTSOCKET socket_;
  const std::string peer_;
  const size_t max_inbox_bytes_;
  const SystemClock clock_;

  mutable std::mutex mutex_;
  std::condition_variable inbox_changed_;
  std::condition_variable queue_changed_;
  SendQueue queue_;
  std::optional<Fragmenter> current_;  // the message that is being sent
  SendPacer pacer_;
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
  inbox_bytes_ -= message.size() + kInboxOverhead;
  stats_.bytes_received += static_cast<int64_t>(message.size() + kFragmentHeaderBytes);
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
  stats.bytes_acknowledged = pacer_.acknowledged();
  stats.messages_expired = queue_.expired();
  stats.rtt_ms = pacer_.round_trip_ms();
  stats.estimated_kbps = pacer_.EstimateKbps(clock_.Now());
  const size_t started = current_ ? current_->left() : 0;
  stats.unsent_bytes = static_cast<int64_t>(queue_.bytes() + started) + pacer_.BytesInFlight();
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

void SrtLink::UpdatePace(std::unique_lock<std::mutex>& lock) {
  lock.unlock();
  size_t blocks = 0;
  size_t unacknowledged = 0;
  SRT_TRACEBSTATS srt{};
  const bool known = srt_getsndbuffer(socket_, &blocks, &unacknowledged) != SRT_ERROR &&
                     srt_bistats(socket_, &srt, 0, 1) != SRT_ERROR;
  lock.lock();
  if (!known) return;
  pacer_.OnRepeated(clock_.Now(), static_cast<int64_t>(srt.byteRetransTotal));
  pacer_.OnAcknowledged(clock_.Now(), pacer_.sent() - static_cast<int64_t>(unacknowledged),
                        srt.msRTT);
}

bool SrtLink::SendPacket(ByteSpan packet, std::unique_lock<std::mutex>& lock) {
  lock.unlock();  // only this thread touches current_, which owns the packet's bytes
  SRT_MSGCTRL control = srt_msgctrl_default;
  control.inorder = 1;
  const int sent = srt_sendmsg2(socket_, reinterpret_cast<const char*>(packet.data()),
                                static_cast<int>(packet.size()), &control);
  if (sent == SRT_ERROR) {
    GoDown(fmt::format("the connection to {} broke: {}", peer_, LastSrtError()));
  }
  lock.lock();
  if (sent == SRT_ERROR) return false;
  pacer_.OnSent(clock_.Now(), sent);
  stats_.bytes_sent += sent;
  return true;
}

bool SrtLink::SendPackets(std::unique_lock<std::mutex>& lock) {
  while (current_ && pacer_.MaySend(clock_.Now())) {
    if (!SendPart(kPacketBytes, lock)) return false;
  }
  if (!pacer_.TakeProbe(clock_.Now())) return true;
  return current_ ? SendPart(kProbeBytes, lock) : SendPacket(kEmptyPacket, lock);
}

bool SrtLink::SendPart(size_t bytes, std::unique_lock<std::mutex>& lock) {
  if (!SendPacket(current_->Next(bytes), lock)) return false;
  if (current_->done()) {
    ++stats_.messages_sent;
    current_.reset();
  }
  return true;
}

void SrtLink::SendLoop() {
  std::this_thread::sleep_for(kSilence);
  std::unique_lock lock(mutex_);
  std::optional<steady_clock::time_point> give_up;
  while (down_reason_.empty()) {
    UpdatePace(lock);
    queue_.Expire(clock_.Now());
    if (!current_) {
      if (auto message = queue_.Pop(clock_.Now())) current_.emplace(std::move(*message));
    }
    if (!SendPackets(lock)) return;
    if (pacer_.StandsStill(clock_.Now())) {
      lock.unlock();
      return GoDown(fmt::format("{} has taken nothing for ten seconds", peer_));
    }
    const bool idle = !current_ && queue_.empty() && pacer_.BytesInFlight() == 0;
    if (closing_) {
      if (!give_up) give_up = steady_clock::now() + kDrainTime;
      if (idle || steady_clock::now() >= *give_up) return;
    }
    if (idle) {
      queue_changed_.wait(lock,
                          [&] { return !queue_.empty() || closing_ || !down_reason_.empty(); });
    } else if (current_ || queue_.empty()) {
      queue_changed_.wait_for(lock, kPollInterval);
    }
  }
}

bool SrtLink::WaitForInbox() {
  std::unique_lock lock(mutex_);
  inbox_changed_.wait(lock, [&] { return inbox_bytes_ < max_inbox_bytes_ || closing_; });
  return !closing_;
}

void SrtLink::ReceiveLoop() {
  std::array<char, kPacketBytes> packet;
  Reassembler reassembler(kMaxMessageBytes);
  while (WaitForInbox()) {
    SRT_MSGCTRL control = srt_msgctrl_default;
    const int size = srt_recvmsg2(socket_, packet.data(), packet.size(), &control);
    if (size == SRT_ERROR) {
      const int error = srt_getlasterror(nullptr);
      if (error == SRT_ETIMEOUT || error == SRT_EASYNCRCV) continue;
      return GoDown(fmt::format("{} closed the connection, or it broke", peer_));
    }
    auto message = reassembler.Add(AsBytes({packet.data(), static_cast<size_t>(size)}));
    if (!message) return GoDown(fmt::format("{} sent {}", peer_, message.error().message));
    if (!*message) continue;
    const std::lock_guard lock(mutex_);
    inbox_bytes_ += (*message)->size() + kInboxOverhead;
    inbox_.push_back(**std::move(message));
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
