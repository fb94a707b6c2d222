#include "stac/server/live_server.h"

#include <algorithm>
#include <condition_variable>
#include <list>
#include <mutex>
#include <set>
#include <span>
#include <thread>
#include <utility>
#include <vector>

#include "stac/base/bounded_queue.h"
#include "stac/base/log.h"

namespace stac {
namespace {

constexpr Micros kReceiveWait = 100'000;
constexpr Micros kHelloTimeout = 5'000'000;
constexpr Micros kFeedbackTtl = 2'000'000;
constexpr int kWarmUpPasses = 2;
// Keyframes that the network is done with and whose answers are not coded yet; then it waits.
constexpr size_t kUncoded = 2;

// One device: its link, its session and the thread that receives from it.
struct Peer {
  std::unique_ptr<Link> link;
  std::string name;
  int64_t number = 0;  // unique
  std::mutex mutex;    // guards session's OnMessage, TakePending and waiting
  std::unique_ptr<ServerSession> session;
  std::thread receiver;
  std::atomic<bool> gone{false};
  std::atomic<int> unsent{0};  // answers that the answering thread still has to send
  // Guarded by Impl::mutex.
  bool to_warm = false;
  bool in_network = false;  // one keyframe at a time, so that answers keep their order
  std::atomic<size_t> video_bytes{0};
};

// A keyframe on its way through the server.
struct Served {
  std::shared_ptr<Peer> peer;
  PendingFrame pending;
  int waiting = 0;  // keyframes elsewhere
  Result<Segmentation> segmentation = Segmentation{};
};

// A thread that runs the network, and the frame sizes that it has run it on.
struct NetworkRunner {
  std::unique_ptr<Segmenter> segmenter;
  std::set<std::pair<int, int>> warm_sizes;  // guarded by Impl::mutex
  std::thread thread;
};

// What a pass of the network gave, and what it took of the network's time for each keyframe.
struct Pass {
  std::vector<Result<Segmentation>> results;
  double each_ms = 0;
};

// A thread that answers some of the devices, and what it has to do.
struct Answerer {
  BoundedQueue<Served> queue{kUncoded};
  std::thread thread;
};

int AnswerThreads(int wanted) {
  if (wanted > 0) return wanted;
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()) / 4);
}

}  // namespace

struct LiveServer::Impl {
  const LiveServerOptions live;
  ServerOptions options;
  Profile profile;
  NetworkInfo network;
  ServerSession::DecoderFactory decoders;
  OnServed on_served;
  OnLabels on_labels;
  SystemClock clock;

  mutable std::mutex mutex;  // guards peers, next and the counters
  std::condition_variable work;
  std::condition_variable warmed;
  std::list<std::shared_ptr<Peer>> peers;
  bool draining = false;
  int64_t keyframes = 0;
  int64_t last_number = 0;  // of a peer
  double mean_processing_ms = 0;
  int passes = 0;  // of the network, at this moment
  std::vector<std::unique_ptr<NetworkRunner>> runners;
  std::vector<std::unique_ptr<Answerer>> answerers;
  std::mutex served_mutex;  // guards on_served
  Admission admission;      // guarded by mutex

  explicit Impl(const LiveServerOptions& live_options)
      : live(live_options), admission(live_options.admission) {}

  size_t Send(Peer& peer, const Message& message);
  bool Greet(Peer& peer);
  void Receive(Peer& peer);
  void HandleMessage(Peer& peer, ByteSpan bytes);
  void AdmitOrRefuse(Peer& peer, const Hello& hello, Welcome& welcome);
  void WaitUntilWarm(Peer& peer);
  bool IsWarm(std::pair<int, int> size) const;
  bool WarmUpOne(NetworkRunner& runner, std::unique_lock<std::mutex>& lock);
  void RunLoop(NetworkRunner& runner);
  std::vector<Served> TakeBatch(std::unique_lock<std::mutex>& lock);
  std::optional<Served> TakeNext();
  Pass RunPass(Segmenter& segmenter, std::span<const Frame* const> frames,
               const Objective* objective);
  void Infer(Segmenter& segmenter, std::vector<Served> batch);
  void InferTogether(Segmenter& segmenter, std::span<Served*> alike, const Objective* objective);
  void AnswerLoop(Answerer& answerer);
  void SendAnswer(Served& served);
  void Reap(bool all);
};

size_t LiveServer::Impl::Send(Peer& peer, const Message& message) {
  const Bytes bytes = Serialize(message);
  if (const auto status = peer.link->Send(bytes, kFeedbackTtl); !status) peer.gone = true;
  return bytes.size();
}

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
      spdlog::warn("{}: the first message is not a hello: {}", peer.name,
                   message ? "another kind" : message.error().message);
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
  {
    std::unique_lock lock(mutex);
    if (!admission.measured()) {
      lock.unlock();
      WaitUntilWarm(peer);
      lock.lock();
    }
    const auto verdict =
        admission.Admit(peer.number, int64_t{hello.width} * hello.height, hello.fps);
    if (!verdict.accepted) {
      welcome = {.reason = verdict.reason, .network = welcome.network};
      return;
    }
    const double granted = verdict.max_keyframe_fps;
    double& limit = welcome.max_keyframe_fps;
    if (granted > 0) limit = limit > 0 ? std::min(limit, granted) : granted;
  }
  WaitUntilWarm(peer);
}

// The first passes of a network at a new size are many times slower than the rest: they happen
// before the device starts to send, not on its first keyframes.
void LiveServer::Impl::WaitUntilWarm(Peer& peer) {
  std::unique_lock lock(mutex);
  const std::pair<int, int> size(peer.session->hello().width, peer.session->hello().height);
  if (IsWarm(size)) return;
  peer.to_warm = true;
  work.notify_all();
  warmed.wait(lock, [&] { return IsWarm(size) || draining; });
  peer.to_warm = false;
}

bool LiveServer::Impl::IsWarm(std::pair<int, int> size) const {
  return std::all_of(runners.begin(), runners.end(),
                     [&](const auto& runner) { return runner->warm_sizes.contains(size); });
}

bool LiveServer::Impl::WarmUpOne(NetworkRunner& runner, std::unique_lock<std::mutex>& lock) {
  for (const std::shared_ptr<Peer>& candidate : peers) {
    if (!candidate->to_warm) continue;
    const Hello& hello = candidate->session->hello();
    if (runner.warm_sizes.contains({hello.width, hello.height})) continue;
    const std::shared_ptr<Peer> peer = candidate;
    lock.unlock();
    const Frame blank = MakeGreyFrame(hello.width, hello.height, hello.color);
    // A GPU's algorithms are chosen anew for every number of frames.
    const int most = network.on_gpu ? live.max_batch : 1;
    double each_ms = 0;
    for (int count = most; count > 0; --count) {
      const std::vector<const Frame*> frames(static_cast<size_t>(count), &blank);
      for (int i = 0; i < kWarmUpPasses; ++i) {
        const Pass pass = RunPass(*runner.segmenter, frames, &options.objective);
        if (const auto& warm = pass.results.front(); !warm)
          spdlog::error("{}: {}", peer->name, warm.error().message);
        each_ms = pass.each_ms;
      }
    }
    lock.lock();
    // The last pass tells what a keyframe will cost.
    if (!admission.measured()) {
      admission.OnKeyframe(int64_t{hello.width} * hello.height, each_ms);
    }
    runner.warm_sizes.insert({hello.width, hello.height});
    warmed.notify_all();
    return true;
  }
  return false;
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
  std::unique_lock lock(peer.mutex);
  auto replies = peer.session->OnMessage(*message);
  lock.unlock();
  if (!replies) {
    spdlog::warn("{}: {}; closing", peer.name, replies.error().message);
    Send(peer, Bye{.reason = replies.error().message});
    peer.gone = true;
    return;
  }
  for (const Message& reply : *replies) Send(peer, reply);
  if (std::holds_alternative<CodedFrame>(*message)) {
    peer.video_bytes = bytes.size();
    std::lock_guard guard(mutex);
    work.notify_one();
  } else if (on_labels && (std::holds_alternative<PropagatedLabels>(*message) ||
                           std::holds_alternative<PropagatedMotion>(*message))) {
    if (const LabelMap* labels = peer.session->upstream_labels()) {
      on_labels(peer.name, peer.session->upstream_frame(), *labels);
    }
  }
}

void LiveServer::Impl::Receive(Peer& peer) {
  if (Greet(peer)) {
    while (!peer.gone) {
      auto received = peer.link->Receive();
      if (!received) {
        spdlog::info("{}: gone: {}", peer.name, received.error().message);
        break;
      }
      if (*received) {
        HandleMessage(peer, **received);
      } else {
        peer.link->Wait(kReceiveWait);
      }
    }
  }
  peer.gone = true;
  std::lock_guard guard(mutex);
  work.notify_one();
}

// A peer whose receiver is decoding is passed over: it says when it is done, and others need not
// wait for it.
std::optional<Served> LiveServer::Impl::TakeNext() {
  std::optional<Served> found;
  int waiting = 0;
  for (const std::shared_ptr<Peer>& peer : peers) {
    std::unique_lock lock(peer->mutex, std::defer_lock);
    if (draining) lock.lock();  // nobody says anything any more
    if (!lock && !lock.try_lock()) continue;
    if (!found && !peer->gone && !peer->in_network) {
      if (auto next = peer->session->TakePending()) {
        found = Served{.peer = peer, .pending = std::move(*next)};
      }
    }
    waiting += peer->session->waiting();
  }
  if (!found) return found;
  found->waiting = waiting;
  found->peer->in_network = true;
  // Round robin: who was served goes to the end.
  peers.remove(found->peer);
  peers.push_back(found->peer);
  return found;
}

// The keyframes that go through the network next: all that wait, up to max_batch, and those that
// come before the first of them has waited for batch_wait. Called with `lock` held.
std::vector<Served> LiveServer::Impl::TakeBatch(std::unique_lock<std::mutex>& lock) {
  std::vector<Served> batch;
  for (;;) {
    while (batch.size() < static_cast<size_t>(live.max_batch)) {
      auto next = TakeNext();
      if (!next) break;
      batch.push_back(std::move(*next));
    }
    if (batch.empty() || batch.size() == static_cast<size_t>(live.max_batch) || draining) break;
    const auto wait = static_cast<Micros>(1000 * live.batch_wait_ms);
    const Micros left = batch.front().pending.arrived + wait - clock.Now();
    if (left <= 0) break;
    work.wait_for(lock, std::chrono::microseconds(left));
  }
  return batch;
}

void LiveServer::Impl::Infer(Segmenter& segmenter, std::vector<Served> batch) {
  std::vector<const Objective*> objectives;
  for (Served& served : batch) {
    objectives.push_back(served.peer->session->NextObjective(served.pending));
  }
  std::vector<bool> done(batch.size(), false);
  for (size_t i = 0; i < batch.size(); ++i) {
    if (done[i]) continue;
    const Frame& first = batch[i].pending.frame;
    std::vector<Served*> alike;
    for (size_t j = i; j < batch.size(); ++j) {
      const Frame& frame = batch[j].pending.frame;
      if (done[j] || (objectives[j] == nullptr) != (objectives[i] == nullptr) ||
          frame.width() != first.width() || frame.height() != first.height() ||
          frame.color() != first.color()) {
        continue;
      }
      alike.push_back(&batch[j]);
      done[j] = true;
    }
    InferTogether(segmenter, alike, objectives[i]);
  }
  for (Served& served : batch) {
    const std::shared_ptr<Peer> peer = served.peer;
    ++peer->unsent;
    answerers[static_cast<size_t>(peer->number) % answerers.size()]->queue.Push(std::move(served));
    std::lock_guard guard(mutex);
    peer->in_network = false;
    work.notify_one();
  }
}

// Passes at the same time slow each other down, so each counts by its share.
Pass LiveServer::Impl::RunPass(Segmenter& segmenter, std::span<const Frame* const> frames,
                               const Objective* objective) {
  std::unique_lock lock(mutex);
  const int others_before = passes++;
  lock.unlock();
  const Stopwatch watch;
  Pass pass{.results = segmenter.RunBatch(frames, objective)};
  const double pass_ms = watch.Milliseconds();
  lock.lock();
  const int together = 1 + std::max(others_before, --passes);
  pass.each_ms = pass_ms / (static_cast<double>(frames.size()) * together);
  return pass;
}

void LiveServer::Impl::InferTogether(Segmenter& segmenter, std::span<Served*> alike,
                                     const Objective* objective) {
  std::vector<const Frame*> frames;
  for (const Served* served : alike) frames.push_back(&served->pending.frame);
  Pass pass = RunPass(segmenter, frames, objective);
  for (size_t i = 0; i < alike.size(); ++i) alike[i]->segmentation = std::move(pass.results[i]);
  std::lock_guard guard(mutex);
  for (const Frame* frame : frames) {
    admission.OnKeyframe(int64_t{frame->width()} * frame->height(), pass.each_ms);
  }
}

void LiveServer::Impl::AnswerLoop(Answerer& answerer) {
  while (auto served = answerer.queue.Pop()) {
    SendAnswer(*served);
    --served->peer->unsent;
  }
}

void LiveServer::Impl::SendAnswer(Served& served) {
  Peer& peer = *served.peer;
  const FrameId id = served.pending.frame.id;
  auto answer =
      served.segmentation
          ? peer.session->Answer(served.pending, std::move(*served.segmentation), served.waiting)
          : Result<ServerAnswer>(tl::unexpected<Error>(served.segmentation.error()));
  if (!answer) {
    spdlog::error("{}: frame {}: {}", peer.name, id, answer.error().message);
    Send(peer, ServerStats{.frame = id, .error = answer.error().message});
    return;
  }
  ServedKeyframe log{.device = peer.name, .stats = answer->stats, .video_bytes = peer.video_bytes};
  for (const Message& message : answer->messages) log.feedback_bytes += Send(peer, message);
  {
    std::lock_guard guard(mutex);
    ++keyframes;
    const double share = keyframes < 20 ? 1.0 / static_cast<double>(keyframes) : 0.05;
    mean_processing_ms += share * (answer->stats.processing_ms - mean_processing_ms);
  }
  if (!on_served) return;
  std::lock_guard guard(served_mutex);
  on_served(log);
}

void LiveServer::Impl::RunLoop(NetworkRunner& runner) {
  std::unique_lock lock(mutex);
  for (;;) {
    Reap(false);
    if (WarmUpOne(runner, lock)) continue;
    if (auto batch = TakeBatch(lock); !batch.empty()) {
      lock.unlock();
      Infer(*runner.segmenter, std::move(batch));
      lock.lock();
      continue;
    }
    if (draining) break;
    work.wait_for(lock, std::chrono::milliseconds(200));
  }
  warmed.notify_all();
}

// Joins the receivers of peers that are gone and have no answer under way. Called with `mutex`
// held.
void LiveServer::Impl::Reap(bool all) {
  for (auto it = peers.begin(); it != peers.end();) {
    Peer& peer = **it;
    if (all) peer.gone = true;
    if (!peer.gone || peer.in_network || peer.unsent > 0) {
      ++it;
      continue;
    }
    // The receiver takes `mutex` once at its end, so it must not be held while joining.
    std::shared_ptr<Peer> leaving = *it;
    it = peers.erase(it);
    admission.Leave(leaving->number);
    mutex.unlock();
    if (leaving->receiver.joinable()) leaving->receiver.join();
    leaving->link->Close();
    mutex.lock();
    it = peers.begin();
  }
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

LiveServer::~LiveServer() { Drain(); }

void LiveServer::Add(std::unique_ptr<Link> link, const std::string& peer_name) {
  auto peer = std::make_shared<Peer>();
  peer->link = std::move(link);
  peer->name = peer_name;
  peer->session = std::make_unique<ServerSession>(impl_->options, impl_->profile, impl_->network,
                                                  impl_->decoders, &impl_->clock);
  std::lock_guard guard(impl_->mutex);
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
    std::lock_guard lock(peer->mutex);
    ++status.devices;
    status.waiting += peer->session->waiting();
  }
  return status;
}

}  // namespace stac
