#include <algorithm>

#include "stac/base/log.h"
#include "stac/server/live_server_internal.h"

namespace stac {
namespace {

constexpr int kWarmUpPasses = 2;

std::pair<int, int> SizeOf(const Peer& peer) {
  return {peer.session->hello().width, peer.session->hello().height};
}

// Devices choose their regions; what goes through the network together must agree on them.
RegionSums WantedSums(const Objective* objective) {
  return objective == nullptr ? RegionSums{} : objective->sums;
}

}  // namespace

// A GPU's algorithms are chosen anew for every number of frames.
int LiveServer::Impl::WarmUpPasses() const {
  return kWarmUpPasses * (network.on_gpu ? live.max_batch : 1);
}

bool LiveServer::Impl::IsWarm(std::pair<int, int> size) const {
  return std::all_of(runners.begin(), runners.end(), [&](const auto& runner) {
    const auto done = runner->warm_passes.find(size);
    return done != runner->warm_passes.end() && done->second >= WarmUpPasses();
  });
}

// One pass at a time, and on one thread at a time: a newcomer with large frames costs the others
// little more than one of its keyframes would. False: there was nothing to do.
bool LiveServer::Impl::WarmUpOnce(NetworkRunner& runner, std::unique_lock<std::mutex>& lock) {
  if (warming || draining) return false;
  const auto cold = std::find_if(peers.begin(), peers.end(), [&](const auto& peer) {
    return peer->to_warm && peer->link->up() && runner.warm_passes[SizeOf(*peer)] < WarmUpPasses();
  });
  if (cold == peers.end()) return false;
  const std::shared_ptr<Peer> peer = *cold;
  const std::pair size = SizeOf(*peer);
  const int done = runner.warm_passes[size];
  warming = true;
  lock.unlock();
  const Frame blank = MakeGreyFrame(size.first, size.second, peer->session->hello().color);
  const int together = (WarmUpPasses() - 1 - done) / kWarmUpPasses + 1;  // the most first
  const std::vector<const Frame*> frames(static_cast<size_t>(together), &blank);
  const Pass pass = RunPass(*runner.segmenter, frames, &peer->session->objective());
  lock.lock();
  warming = false;
  if (const auto& warm = pass.results.front()) {
    runner.warm_passes[size] = done + 1;
    // The last pass tells what a keyframe will cost.
    if (!admission.measured() && done + 1 == WarmUpPasses()) {
      admission.OnKeyframe(int64_t{size.first} * size.second, pass.each_ms);
    }
  } else {
    for (const auto& other : peers) {
      if (other->to_warm && SizeOf(*other) == size) other->cannot_warm = warm.error().message;
    }
  }
  warmed.notify_all();
  work.notify_all();
  return true;
}

// A peer whose receiver is busy is passed over: it says when it is done, and others need not
// wait for it.
std::optional<Served> LiveServer::Impl::TakeNext() {
  std::optional<Served> found;
  for (const std::shared_ptr<Peer>& peer : peers) {
    if (peer->gone || peer->in_network) continue;
    std::unique_lock lock(peer->mutex, std::defer_lock);
    if (draining) lock.lock();  // nobody says anything any more
    if (!lock && !lock.try_lock()) continue;
    auto next = peer->session->TakePending();
    if (!next) continue;
    peer->waiting = peer->session->waiting();
    found = Served{.peer = peer, .pending = std::move(*next)};
    break;
  }
  if (!found) return found;
  for (const std::shared_ptr<Peer>& peer : peers) found->waiting += peer->waiting;
  found->peer->in_network = true;
  // Round robin: who was served goes to the end.
  peers.remove(found->peer);
  peers.push_back(found->peer);
  return found;
}

// The keyframes that go through the network next: one of each device that waits, up to max_batch,
// and those that come before the first of them has waited for batch_wait. Called with `lock` held.
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
          frame.color() != first.color() ||
          WantedSums(objectives[j]) != WantedSums(objectives[i])) {
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
  std::lock_guard guard(mutex);
  for (size_t i = 0; i < alike.size(); ++i) {
    // What failed says nothing about what a keyframe costs.
    if (pass.results[i]) {
      admission.OnKeyframe(int64_t{frames[i]->width()} * frames[i]->height(), pass.each_ms);
    }
    alike[i]->segmentation = std::move(pass.results[i]);
  }
}

void LiveServer::Impl::RunLoop(NetworkRunner& runner) {
  std::unique_lock lock(mutex);
  for (;;) {
    Reap(false);
    const bool warmed_up = WarmUpOnce(runner, lock);
    if (auto batch = TakeBatch(lock); !batch.empty()) {
      lock.unlock();
      Infer(*runner.segmenter, std::move(batch));
      lock.lock();
      continue;
    }
    if (warmed_up) continue;
    if (draining) break;
    work.wait(lock);
  }
  warmed.notify_all();
}

}  // namespace stac
