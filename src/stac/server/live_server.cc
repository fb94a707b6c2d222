#include "stac/server/live_server.h"

#include <algorithm>

#include "stac/base/log.h"
#include "stac/server/live_server_internal.h"

namespace stac {
namespace {

constexpr Micros kFeedbackTtl = 2'000'000;
constexpr double kComplaintIntervalMs = 10'000;

int AnswerThreads(int wanted) {
  if (wanted > 0) return wanted;
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()) / 4);
}

}  // namespace

void Complaint::Say(const std::string& device, FrameId frame, const std::string& error) {
  if (since_last_ && since_last_->Milliseconds() < kComplaintIntervalMs) {
    ++unsaid_;
    return;
  }
  const int unsaid = std::exchange(unsaid_, 0);
  spdlog::warn("{}: frame {}: {}{}", device, frame, error,
               unsaid > 0 ? fmt::format(" ({} more like it before)", unsaid) : "");
  since_last_.emplace();
}

size_t LiveServer::Impl::Send(Peer& peer, const Message& message) {
  const Bytes bytes = Serialize(message);
  if (const auto status = peer.link->Send(bytes, kFeedbackTtl); !status) peer.gone = true;
  return bytes.size();
}

void LiveServer::Impl::AnswerLoop(Answerer& answerer) {
  while (auto served = answerer.queue.Pop()) {
    SendAnswer(*served);
    if (--served->peer->unsent == 0 && served->peer->gone) NotifyOfWork();  // it can be reaped
  }
}

void LiveServer::Impl::SendAnswer(Served& served) {
  Peer& peer = *served.peer;
  const FrameId id = served.pending.frame.id;
  auto answer =
      served.segmentation
          ? peer.session->Answer(served.pending, std::move(*served.segmentation), served.waiting)
          : Result<ServerAnswer>(tl::unexpected<Error>(served.segmentation.error()));
  ServedKeyframe report{.device = peer.name};
  if (!answer) {
    peer.failed.Say(peer.name, id, answer.error().message);
    report.stats = {
        .frame = id, .decode_ms = served.pending.decode_ms, .error = answer.error().message};
    report.feedback_bytes = Send(peer, report.stats);
    return Report(report);
  }
  report.stats = answer->stats;
  report.video_bytes = served.pending.video_bytes;
  for (Message& message : answer->messages) {
    if (auto* stats = std::get_if<ServerStats>(&message)) {
      std::lock_guard guard(mutex);
      ++keyframes;
      const double share = keyframes < 20 ? 1.0 / static_cast<double>(keyframes) : 0.05;
      mean_processing_ms += share * (stats->processing_ms - mean_processing_ms);
      stats->max_keyframe_fps = admission.Rate(peer.number);  // always, as answers may get lost
    }
    report.feedback_bytes += Send(peer, message);
  }
  Report(report);
}

void LiveServer::Impl::Report(const ServedKeyframe& keyframe) {
  if (!on_served) return;
  std::lock_guard guard(served_mutex);
  on_served(keyframe);
}

// Joins the receivers of peers whose links are closed and who have no answer under way; with `all`,
// which waits, of everybody. Called with `mutex` held.
void LiveServer::Impl::Reap(bool all) {
  if (all) {
    for (const auto& peer : peers) peer->gone = true;  // all at a time
  }
  for (auto it = peers.begin(); it != peers.end();) {
    Peer& peer = **it;
    if (!(peer.closed || all) || peer.in_network || peer.unsent > 0) {
      ++it;
      continue;
    }
    // The receiver takes `mutex` at its end, so it must not be held while joining.
    std::shared_ptr<Peer> leaving = *it;
    it = peers.erase(it);
    mutex.unlock();
    leaving->receiver.join();
    mutex.lock();
    it = peers.begin();
  }
}

// Closing takes half a second if the caller acknowledges nothing, which the next one must not wait
// for.
void LiveServer::Impl::Refuse(std::unique_ptr<Link> link, const std::string& reason) {
  (void)link->Send(Serialize(Welcome{.reason = reason, .network = network.name}), 0);
  std::unique_lock lock(mutex);
  std::erase_if(refused, [](Refused& caller) {
    if (!caller.closed) return false;
    caller.closer.join();
    return true;
  });
  if (refused.size() >= kMostRefused) {
    lock.unlock();
    link->Close();
    return;
  }
  Refused& caller = refused.emplace_back();
  caller.link = std::move(link);
  caller.closer = std::thread([&caller] {
    caller.link->Close();
    caller.closed = true;
  });
}

// Before a newcomer costs more than its session; empty: there is none.
std::string LiveServer::Impl::ReasonToRefuse() const {
  if (draining) return "the server is shutting down";
  if (peers.size() < static_cast<size_t>(live.max_devices)) return {};
  return fmt::format("this server has its {} devices; connect to another one, or later",
                     live.max_devices);
}

LiveServer::LiveServer(ServerOptions options, Profile profile, std::unique_ptr<Segmenter> segmenter,
                       ServerSession::DecoderFactory decoders, OnServed on_served,
                       OnLabels on_labels, const LiveServerOptions& live)
    : impl_(std::make_unique<Impl>(live)) {
  impl_->options = std::move(options);
  impl_->profile = std::move(profile);
  impl_->network = segmenter->info();
  impl_->decoders = std::move(decoders);
  impl_->on_served = std::move(on_served);
  impl_->on_labels = std::move(on_labels);
  for (int i = 0; i < AnswerThreads(live.answer_threads); ++i) {
    auto& answerer = impl_->answerers.emplace_back(std::make_unique<Answerer>());
    answerer->thread =
        std::thread([impl = impl_.get(), raw = answerer.get()] { impl->AnswerLoop(*raw); });
  }
  for (int i = 1; i < live.network_threads; ++i) {
    auto& runner = impl_->runners.emplace_back(std::make_unique<NetworkRunner>());
    runner->segmenter = segmenter->Clone();
  }
  auto& last = impl_->runners.emplace_back(std::make_unique<NetworkRunner>());
  last->segmenter = std::move(segmenter);
  for (const auto& runner : impl_->runners) {
    runner->thread = std::thread([impl = impl_.get(), raw = runner.get()] { impl->RunLoop(*raw); });
  }
}

LiveServer::~LiveServer() {
  Drain();
  for (Refused& caller : impl_->refused) caller.closer.join();
}

void LiveServer::Add(std::unique_ptr<Link> link, const std::string& peer_name) {
  auto peer = std::make_shared<Peer>();
  peer->link = std::move(link);
  peer->name = peer_name;
  peer->session = std::make_unique<ServerSession>(impl_->options, impl_->profile, impl_->network,
                                                  impl_->decoders, &impl_->clock);
  std::unique_lock lock(impl_->mutex);
  if (const std::string reason = impl_->ReasonToRefuse(); !reason.empty()) {
    lock.unlock();
    spdlog::warn("{}: refused: {}", peer_name, reason);
    return impl_->Refuse(std::move(peer->link), reason);
  }
  peer->number = ++impl_->last_number;
  peer->receiver = std::thread([impl = impl_.get(), raw = peer.get()] { impl->Receive(*raw); });
  impl_->peers.push_back(std::move(peer));
}

void LiveServer::Drain() {
  {
    std::lock_guard guard(impl_->mutex);
    if (impl_->draining) return;
    impl_->draining = true;
    impl_->work.notify_all();
  }
  for (const auto& runner : impl_->runners) runner->thread.join();
  for (const auto& answerer : impl_->answerers) answerer->queue.Close();  // the rest is still sent
  for (const auto& answerer : impl_->answerers) answerer->thread.join();
  std::unique_lock lock(impl_->mutex);
  for (const auto& peer : impl_->peers) {
    if (!peer->gone) impl_->Send(*peer, Bye{.reason = "the server is shutting down"});
  }
  impl_->Reap(true);
}

ServerStatus LiveServer::Status() const {
  std::lock_guard guard(impl_->mutex);
  ServerStatus status{.keyframes = impl_->keyframes,
                      .mean_processing_ms = impl_->mean_processing_ms};
  for (const auto& peer : impl_->peers) {
    if (peer->gone) continue;
    ++status.devices;
    status.waiting += peer->waiting;
  }
  return status;
}

}  // namespace stac
