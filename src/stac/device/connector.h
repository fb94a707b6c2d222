#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
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

// Connects to the server, and in the background again and again with back-off (0.2 s doubling to
// 5 s) after a loss, so that the device's loop never waits for it.
class Connector {
 public:
  using Connect = std::function<Result<std::unique_ptr<Link>>()>;

  explicit Connector(Connect connect) : connect_(std::move(connect)) {}
  ~Connector() { Stop(); }

  // One attempt, on the caller's thread. A refusal by the server is an error.
  Result<Connection> ConnectOnce(const Hello& hello) const;
  // Starts trying in the background, unless it is already.
  void Start(const Hello& hello);
  // The connection made in the background, if there is one by now.
  std::optional<Connection> Poll();
  void Stop();

 private:
  void Loop(const Hello& hello);

  Connect connect_;
  std::thread thread_;
  std::atomic<bool> stop_{false};
  std::mutex mutex_;
  std::optional<Connection> made_;
};

}  // namespace stac
