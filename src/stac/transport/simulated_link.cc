#include "stac/transport/simulated_link.h"

#include <algorithm>
#include <utility>

#include "stac/base/check.h"
#include "stac/transport/simulated_channel.h"

namespace stac {
namespace {

struct Shared {
  Shared(const SimulatedLinkOptions& options, const ManualClock* virtual_clock)
      : clock(virtual_clock),
        channels{Make(options, options.up, 0), Make(options, options.down, 1)} {}

  static SimulatedChannel Make(const SimulatedLinkOptions& options,
                               const SimulatedDirection& direction, uint64_t stream) {
    return SimulatedChannel(direction, options.up.delay_us + options.down.delay_us,
                            options.send_queue_bytes, 2 * options.seed + stream);
  }

  const ManualClock* clock;
  SimulatedChannel channels[2];     // by sending end
  std::optional<Micros> closed_at;  // what would arrive later is lost
};

class End final : public SimulatedLink {
 public:
  End(std::shared_ptr<Shared> shared, int end) : shared_(std::move(shared)), end_(end) {}
  ~End() override { End::Close(); }

  Status Send(ByteSpan message, Micros ttl_us) override {
    if (!up()) return Fail("the link is closed");
    return Outgoing().Send(message, Now(), ttl_us);
  }

  Result<std::optional<Bytes>> Receive() override {
    auto message = shared_->channels[1 - end_].Receive(shared_->closed_at.value_or(Now()));
    if (!message) {
      if (!up()) return Fail("the link is closed");
      return std::nullopt;
    }
    received_bytes_ += static_cast<int64_t>(message->size());
    ++received_messages_;
    return message;
  }

  void Wait(Micros) override {}
  bool up() const override { return !shared_->closed_at; }

  LinkStats Stats() const override {
    LinkStats stats = shared_->channels[end_].SenderStats(shared_->closed_at.value_or(Now()));
    stats.bytes_received = received_bytes_;
    stats.messages_received = received_messages_;
    return stats;
  }

  void Close() override {
    if (up()) shared_->closed_at = Now();
  }

  std::optional<Micros> NextEvent() const override {
    if (!up()) return std::nullopt;
    const auto sent = shared_->channels[end_].NextEvent(Now());
    const auto received = shared_->channels[1 - end_].NextEvent(Now());
    if (!sent || !received) return sent ? sent : received;
    return std::min(*sent, *received);
  }

  int64_t DiscardUnsent() override { return up() ? Outgoing().DiscardUnsent(Now()) : 0; }

 private:
  Micros Now() const { return shared_->clock->Now(); }
  SimulatedChannel& Outgoing() { return shared_->channels[end_]; }

  std::shared_ptr<Shared> shared_;
  int end_;
  int64_t received_bytes_ = 0;
  int64_t received_messages_ = 0;
};

}  // namespace

SimulatedLinkPair MakeSimulatedLink(const SimulatedLinkOptions& options, const ManualClock* clock) {
  STAC_CHECK(clock != nullptr);
  auto shared = std::make_shared<Shared>(options, clock);
  return {std::make_unique<End>(shared, 0), std::make_unique<End>(shared, 1)};
}

}  // namespace stac
