#include <algorithm>

#include "stac/base/log.h"
#include "stac/server/live_server_internal.h"

namespace stac {
namespace {

constexpr Micros kReceiveWait = 100'000;
constexpr Micros kHelloTimeout = 5'000'000;
constexpr Micros kQuietTimeout = 120'000'000;

}  // namespace

bool LiveServer::Impl::Greet(Peer& peer) {
  const Micros deadline = clock.Now() + kHelloTimeout;
  while (clock.Now() < deadline && !peer.gone) {
    auto received = peer.link->Receive();
    if (!received) return false;
    if (!*received) {
      peer.link->Wait(kReceiveWait);
      continue;
    }
    auto message = Parse(**received);
    const auto* hello = message ? std::get_if<Hello>(&*message) : nullptr;
    if (hello == nullptr) {
      const std::string reason =
          message ? "the first message is not a hello" : message.error().message;
      spdlog::warn("{}: refused: {}", peer.name, reason);
      Send(peer, Welcome{.reason = reason});  // tells devices of another version this one's
      peer.link->Wait(kReceiveWait);          // lets it go out before the link closes
      return false;
    }
    Welcome welcome = peer.session->OnHello(*hello);
    if (welcome.accepted) AdmitOrRefuse(peer, *hello, welcome);
    Send(peer, welcome);
    if (!hello->device.empty()) peer.name = hello->device + "@" + peer.name;
    if (!welcome.accepted) {
      spdlog::warn("{}: refused: {}", peer.name, welcome.reason);
      peer.link->Wait(kReceiveWait);  // lets the refusal go out before the link closes
      return false;
    }
    spdlog::info("{}: {}x{} at {:.4g} frames/s", peer.name, hello->width, hello->height,
                 hello->fps);
    return true;
  }
  spdlog::warn("{}: no hello within 5 s", peer.name);
  return false;
}

// Refuses before anything is warmed up, where that is possible: those who are turned away should
// cost the others nothing.
void LiveServer::Impl::AdmitOrRefuse(Peer& peer, const Hello& hello, Welcome& welcome) {
  const auto refuse = [&](const std::string& reason) {
    welcome = {.reason = reason, .network = welcome.network};
  };
  std::unique_lock lock(mutex);
  if (!admission.measured()) {
    lock.unlock();
    if (const auto warm = WaitUntilWarm(peer); !warm) return refuse(warm.error().message);
    lock.lock();
  }
  const double most = options.max_keyframe_fps;
  const auto verdict = admission.Admit(peer.number, int64_t{hello.width} * hello.height,
                                       most > 0 ? std::min(most, hello.fps) : hello.fps);
  lock.unlock();
  if (!verdict.accepted) return refuse(verdict.reason);
  if (verdict.max_keyframe_fps > 0) welcome.max_keyframe_fps = verdict.max_keyframe_fps;
  if (const auto warm = WaitUntilWarm(peer); !warm) refuse(warm.error().message);
}

// The first passes of a network at a new size are many times slower than the rest: they happen
// before the device starts to send, not on its first keyframes.
stac::Status LiveServer::Impl::WaitUntilWarm(Peer& peer) {
  std::unique_lock lock(mutex);
  const std::pair<int, int> size(peer.session->hello().width, peer.session->hello().height);
  if (IsWarm(size)) return OkStatus();
  peer.to_warm = true;
  work.notify_all();
  // A peer that has left is warmed up for no longer; its link wakes nobody here.
  while (!IsWarm(size) && peer.cannot_warm.empty() && !draining && peer.link->up()) {
    warmed.wait_for(lock, std::chrono::microseconds(kReceiveWait));
  }
  peer.to_warm = false;
  if (peer.cannot_warm.empty()) return OkStatus();
  return Fail("the network does not run at {}x{} here: {}", size.first, size.second,
              peer.cannot_warm);
}

// Network threads sleep until there is something to do, so everything that they may find says so.
void LiveServer::Impl::NotifyOfWork() {
  std::lock_guard guard(mutex);
  work.notify_one();
}

void LiveServer::Impl::HandleMessage(Peer& peer, ByteSpan bytes) {
  auto message = Parse(bytes);
  if (!message) {
    spdlog::warn("{}: {}; closing", peer.name, message.error().message);
    peer.gone = true;
    return;
  }
  if (std::holds_alternative<Bye>(*message)) {
    spdlog::info("{}: {}", peer.name, std::get<Bye>(*message).reason);
    peer.gone = true;
    return;
  }
  // A device that is answered sends its next keyframe: with them there would be no end.
  if (draining && std::holds_alternative<CodedFrame>(*message)) return;
  std::unique_lock lock(peer.mutex);
  auto replies = peer.session->OnMessage(*message);
  peer.waiting = peer.session->waiting();
  lock.unlock();
  if (!replies) {
    spdlog::warn("{}: {}; closing", peer.name, replies.error().message);
    Send(peer, Bye{.reason = replies.error().message});
    peer.gone = true;
    return;
  }
  for (const Message& reply : *replies) {
    const size_t sent = Send(peer, reply);
    const auto* stats = std::get_if<ServerStats>(&reply);
    if (stats == nullptr) continue;
    if (!stats->error.empty()) peer.rejected.Say(peer.name, stats->frame, stats->error);
    if (!peer.unanswered.Passes(clock.Now())) continue;
    Report({.device = peer.name,
            .stats = *stats,
            .feedback_bytes = sent,
            .left_out = peer.unanswered.TakeLeftOut()});
  }
  // Whatever the message: TakeNext may have passed over a keyframe meanwhile.
  if (peer.waiting > 0) NotifyOfWork();
  if (on_labels && (std::holds_alternative<PropagatedLabels>(*message) ||
                    std::holds_alternative<PropagatedMotion>(*message))) {
    if (const LabelMap* labels = peer.session->upstream_labels()) {
      on_labels(peer.name, peer.number, peer.session->upstream_frame(), *labels);
    }
  }
}

void LiveServer::Impl::Receive(Peer& peer) {
  if (Greet(peer)) {
    Micros heard = clock.Now();
    while (!peer.gone) {
      auto received = peer.link->Receive();
      if (!received) {
        spdlog::info("{}: gone: {}", peer.name, received.error().message);
        break;
      }
      if (*received) {
        HandleMessage(peer, **received);
        heard = clock.Now();
      } else if (clock.Now() - heard > kQuietTimeout) {
        spdlog::warn("{}: nothing came for {} s; closing", peer.name, kQuietTimeout / 1'000'000);
        Send(peer, Bye{.reason = "nothing came from the device for two minutes"});
        break;
      } else {
        peer.link->Wait(kReceiveWait);
      }
    }
  }
  peer.gone = true;
  {
    std::lock_guard guard(mutex);
    admission.Leave(peer.number);
  }
  // Here, because a peer need not acknowledge anything, and waiting for that delays nobody else.
  peer.link->Close();
  peer.closed = true;
  NotifyOfWork();
}

}  // namespace stac
