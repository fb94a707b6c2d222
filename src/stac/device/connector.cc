#include "stac/device/connector.h"

#include <algorithm>
#include <utility>

#include "stac/base/clock.h"
#include "stac/base/log.h"
#include "stac/base/reason.h"

namespace stac {
namespace {

constexpr Micros kWelcomeTimeout = 10'000'000;  // the server may still be loading its network
constexpr Micros kFirstWait = 200'000;
constexpr Micros kLongestWait = 5'000'000;

}  // namespace

Result<Connection> Connector::ConnectOnce(const Hello& hello, const std::atomic<bool>& stop) const {
  STAC_ASSIGN_OR_RETURN(std::unique_ptr<Link> link, connect_());
  (void)link->Send(Serialize(hello), 0);  // who refuses at once may be gone, but is heard below
  const SystemClock clock;
  const Micros deadline = clock.Now() + kWelcomeTimeout;
  while (clock.Now() < deadline && !stop) {
    STAC_ASSIGN_OR_RETURN(const std::optional<Bytes> received, link->Receive());
    if (!received) {
      link->Wait(50'000);
      continue;
    }
    STAC_ASSIGN_OR_RETURN(const Message message, Parse(*received));
    const auto* welcome = std::get_if<Welcome>(&message);
    if (welcome == nullptr) return Fail("the server did not answer the hello with a welcome");
    if (!welcome->accepted) return Fail("{}: {}", kRefusal, welcome->reason);
    return Connection{std::move(link), *welcome};
  }
  if (stop) return Fail("interrupted while the server was asked");
  return Fail("the server took the connection but did not answer within 10 s; see its log");
}

void Connector::Start(const Hello& hello, std::string known_reason, std::unique_ptr<Link> lost) {
  Stop();
  thread_ =
      std::thread([this, hello, known_reason = std::move(known_reason), lost = std::move(lost)] {
        if (lost) lost->Close();
        Loop(hello, known_reason);
      });
}

void Connector::Loop(const Hello& hello, std::string known_reason) {
  for (;;) {
    for (Micros waited = 0; waited < wait_ && !stop_; waited += 20'000) {
      std::this_thread::sleep_for(std::chrono::microseconds(20'000));
    }
    if (stop_) return;
    wait_ = std::clamp(2 * wait_, kFirstWait, kLongestWait);
    auto connection = ConnectOnce(hello, stop_);
    if (connection) {
      std::lock_guard lock(mutex_);
      made_ = std::move(*connection);
      return;
    }
    if (stop_) return;  // it was given up, which is no reason
    const std::string& reason = connection.error().message;
    if (WithoutNumbers(reason) == WithoutNumbers(known_reason)) continue;
    spdlog::warn("not connected: {}; trying again", reason);
    known_reason = reason;
  }
}

std::optional<Connection> Connector::Poll() {
  std::lock_guard lock(mutex_);
  return std::exchange(made_, std::nullopt);
}

void Connector::Stop() {
  stop_ = true;
  if (thread_.joinable()) thread_.join();
  stop_ = false;
  std::lock_guard lock(mutex_);
  made_.reset();
}

}  // namespace stac
