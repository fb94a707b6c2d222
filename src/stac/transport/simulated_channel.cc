#include "stac/transport/simulated_channel.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "stac/base/check.h"

namespace stac {
namespace {

constexpr Micros kNever = std::numeric_limits<Micros>::max();
constexpr size_t kPacketBytes = 1456;
// As often as SRT acknowledges.
constexpr Micros kObservationInterval = 10'000;

}  // namespace

SimulatedChannel::SimulatedChannel(const SimulatedDirection& direction, Micros round_trip_us,
                                   size_t send_queue_bytes, uint64_t seed)
    : direction_(direction),
      round_trip_(round_trip_us),
      integral_(direction.trace),
      queue_(send_queue_bytes),
      random_(seed) {
  STAC_CHECK_GE(direction.delay_us, 0);
  STAC_CHECK_GE(direction.jitter_us, 0);
  STAC_CHECK(direction.loss >= 0 && direction.loss <= 0.5);
}

double SimulatedChannel::Draw() { return static_cast<double>(random_() >> 11) * 0x1p-53; }

void SimulatedChannel::StartNext(Micros time) {
  auto message = queue_.Pop(time);
  if (!message) return;
  Transfer transfer{std::move(*message), time, kNever, 0};
  size_t bytes = transfer.message.size();
  if (direction_.loss > 0) {
    for (size_t sent = (bytes + kPacketBytes - 1) / kPacketBytes; sent > 0;) {
      size_t lost = 0;
      for (; sent > 0; --sent) lost += Draw() < direction_.loss ? 1 : 0;
      bytes += lost * kPacketBytes;
      if (lost > 0) transfer.extra_delay += round_trip_;
      sent = lost;
    }
  }
  if (direction_.jitter_us > 0) {
    transfer.extra_delay += static_cast<Micros>(Draw() * static_cast<double>(direction_.jitter_us));
  }
  transfer.end = integral_.Finish(time, static_cast<double>(bytes) * 8).value_or(kNever);
  const auto size = static_cast<int64_t>(transfer.message.size());
  records_.push_back({time, transfer.end, size, size, time});
  handed_over_ += size;
  transfer_ = std::move(transfer);
}

void SimulatedChannel::Advance(Micros now) {
  while (true) {
    if (!transfer_) {
      if (free_at_ > now || queue_.empty()) break;
      StartNext(free_at_);
      if (!transfer_) break;  // everything has expired
      continue;
    }
    if (transfer_->end > now) break;
    last_arrival_ =
        std::max(last_arrival_, transfer_->end + direction_.delay_us + transfer_->extra_delay);
    stats_.bytes_sent += static_cast<int64_t>(transfer_->message.size());
    ++stats_.messages_sent;
    arrivals_.push_back({last_arrival_, std::move(transfer_->message)});
    free_at_ = transfer_->end;
    transfer_.reset();
  }
  // An idle sender starts now at the earliest.
  if (!transfer_ && queue_.empty()) free_at_ = std::max(free_at_, now);
  queue_.Expire(now);
}

Status SimulatedChannel::Send(ByteSpan message, Micros now, Micros ttl_us) {
  STAC_RETURN_IF_ERROR(CheckMessageSize(message.size()));
  Advance(now);
  STAC_RETURN_IF_ERROR(queue_.Push(message, now, ttl_us));
  Advance(now);
  return OkStatus();
}

std::optional<Bytes> SimulatedChannel::Receive(Micros now) {
  Advance(now);
  if (arrivals_.empty() || arrivals_.front().time > now) return std::nullopt;
  Bytes message = std::move(arrivals_.front().message);
  arrivals_.pop_front();
  return message;
}

int64_t SimulatedChannel::DiscardUnsent(Micros now) {
  Advance(now);
  int64_t count = queue_.Clear();
  if (transfer_) {
    Record& record = records_.back();
    record.bytes = ArrivedBy(record, now);
    record.end = now;
    handed_over_ -= record.announced - record.bytes;
    transfer_.reset();
    free_at_ = now;
    ++count;
  }
  discarded_ += count;
  return count;
}

std::optional<Micros> SimulatedChannel::NextEvent(Micros now) {
  Advance(now);
  Micros next = kNever;
  for (const Arrival& arrival : arrivals_) {
    if (arrival.time > now) {
      next = arrival.time;
      break;
    }
  }
  if (transfer_) next = std::min(next, transfer_->end);
  return next == kNever ? std::nullopt : std::optional(next);
}

LinkStats SimulatedChannel::SenderStats(Micros now) {
  Advance(now);
  const Micros known = now - round_trip_;
  Observe(known);
  LinkStats stats = stats_;
  stats.bytes_acknowledged = observed_arrived_;
  if (!records_.empty()) stats.bytes_acknowledged += ArrivedBy(records_.front(), known);
  stats.messages_expired = queue_.expired() + discarded_;
  stats.rtt_ms = static_cast<double>(round_trip_) / 1000;
  stats.estimated_kbps = estimator_.Kbps(known);
  stats.unsent_bytes =
      static_cast<int64_t>(queue_.bytes()) + handed_over_ - stats.bytes_acknowledged;
  return stats;
}

int64_t SimulatedChannel::ArrivedBy(const Record& record, Micros time) const {
  if (time <= record.start || record.end == kNever) return 0;
  if (time >= record.end) return record.bytes;
  const double first = integral_.BitsUntil(record.start);
  const double share =
      (integral_.BitsUntil(time) - first) / (integral_.BitsUntil(record.end) - first);
  return static_cast<int64_t>(share * static_cast<double>(record.bytes));
}

void SimulatedChannel::Announce(Record& record) {
  if (record.is_announced) return;
  record.is_announced = true;
  observed_sent_ += record.announced;
  estimator_.OnSent(record.start, observed_sent_);
}

void SimulatedChannel::Observe(Micros time) {
  while (!records_.empty() && records_.front().start <= time) {
    Record& record = records_.front();
    Announce(record);
    while (record.observed_until + kObservationInterval < std::min(record.end, time + 1)) {
      record.observed_until += kObservationInterval;
      estimator_.OnAcknowledged(record.observed_until,
                                observed_arrived_ + ArrivedBy(record, record.observed_until), 0);
    }
    if (record.end > time) return;
    const int64_t withdrawn = record.announced - record.bytes;
    // Shown first, so that the end of a message in a busy queue is not taken for idle time.
    if (withdrawn == 0 && records_.size() > 1 && records_[1].start == record.end) {
      Announce(records_[1]);
    }
    observed_arrived_ += record.bytes;
    estimator_.OnAcknowledged(record.end, observed_arrived_, 0);
    observed_sent_ -= withdrawn;
    estimator_.OnWithdrawn(withdrawn);
    records_.pop_front();
  }
}

}  // namespace stac
