#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>

#include "stac/base/result.h"
#include "stac/transport/link.h"
#include "stac/wire/messages.h"

namespace stac {

// A link over which hello and welcome have been exchanged.
struct Connection {
  std::unique_ptr<Link> link;
  Welcome welcome;
};

// What the error of a refusal begins with.
inline constexpr std::string_view kRefusal = "the server refused this device";

// Connects to the server, and in the background again and again after a loss, so that the device's
// loop never waits for it. Between attempts it waits for 0.2 s, doubling to 5 s until a connection
// was good for something (OnAnswer). Why an attempt failed is logged whenever the reason changes.
class Connector {
 public:
  using Connect = std::function<Result<std::unique_ptr<Link>>()>;

  explicit Connector(Connect connect) : connect_(std::move(connect)) {}
  ~Connector() { Stop(); }

  // One attempt, on the caller's thread. A refusal by the server is an error, and so is `stop`,
  // which ends the wait for its answer.
  Result<Connection> ConnectOnce(const Hello& hello, const std::atomic<bool>& stop) const;
  // Starts trying in the background; what went on there before ends first. `known_reason` has been
  // logged. `lost`, a link that is of no use any more, is closed there, which may take a while.
  void Start(const Hello& hello, std::string known_reason = {},
             std::unique_ptr<Link> lost = nullptr);
  // The connection made in the background, if there is one by now.
  std::optional<Connection> Poll();
  // The server has answered over the last connection: after its loss the first attempt is made at
  // once. Not while attempts are made.
  void OnAnswer() { wait_ = 0; }
  // Before the next attempt. Not while attempts are made.
  Micros wait() const { return wait_; }
  void Stop();

 private:
  void Loop(const Hello& hello, std::string known_reason);

  Connect connect_;
  std::thread thread_;
  std::atomic<bool> stop_{false};
  Micros wait_ = 0;
  std::mutex mutex_;
  std::optional<Connection> made_;
};

}  // namespace stac
