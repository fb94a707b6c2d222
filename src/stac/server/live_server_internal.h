#pragma once

#include <atomic>
#include <condition_variable>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "stac/base/bounded_queue.h"
#include "stac/server/live_server.h"

// What the parts of LiveServer share: live_receive.cc has the threads that receive, live_network.cc
// those that run the network, live_server.cc the answers and the life of it all.

namespace stac {

// Keyframes that the network is done with and whose answers are not coded yet; then it waits.
constexpr size_t kUncoded = 2;
// Refused callers whose links are being closed at a time; more wait before they are accepted.
constexpr size_t kMostRefused = 32;

// Logs why keyframes of a device came to nothing, every ten seconds at most. Not thread-safe.
class Complaint {
 public:
  void Say(const std::string& device, FrameId frame, const std::string& error);

 private:
  std::optional<Stopwatch> since_last_;
  int unsaid_ = 0;
};

// Lets thirty events a second through, as a peer may cause any number, and counts the others. Not
// thread-safe.
class Throttle {
 public:
  // Whether this one passes.
  bool Passes(Micros now) {
    if (now - second_ >= 1'000'000) {
      second_ = now;
      passed_ = 0;
    }
    if (passed_ == kMost) return ++left_out_, false;
    return ++passed_, true;
  }
  // Those that did not pass since this was called last.
  int64_t TakeLeftOut() { return std::exchange(left_out_, 0); }

 private:
  static constexpr int kMost = 30;
  Micros second_ = 0;
  int passed_ = 0;
  int64_t left_out_ = 0;
};

// One device: its link, its session and the thread that receives from it.
struct Peer {
  std::unique_ptr<Link> link;
  std::string name;
  int64_t number = 0;  // unique
  std::mutex mutex;    // guards session's OnMessage, TakePending and waiting; held while decoding
  std::unique_ptr<ServerSession> session;
  std::atomic<int> waiting{0};  // the session's, for those who do not wait for the decoder
  std::thread receiver;
  std::atomic<bool> gone{false};    // it is not served any more
  std::atomic<bool> closed{false};  // and its receiver has closed the link, its last act
  std::atomic<int> unsent{0};       // answers that the answering thread still has to send
  // Guarded by Impl::mutex.
  bool to_warm = false;
  std::string cannot_warm;  // why the network does not run at its size
  bool in_network = false;  // one keyframe at a time, so that answers keep their order
  Complaint rejected;       // the receiver's
  Throttle unanswered;      // likewise
  Complaint failed;         // its answerer's
};

// A caller that is told why it is not taken in.
struct Refused {
  std::unique_ptr<Link> link;
  std::thread closer;
  std::atomic<bool> closed{false};
};

// A keyframe on its way through the server.
struct Served {
  std::shared_ptr<Peer> peer;
  PendingFrame pending;
  int waiting = 0;  // keyframes elsewhere
  Result<Segmentation> segmentation = Segmentation{};
};

// A thread that runs the network, and what it has run it on.
struct NetworkRunner {
  std::unique_ptr<Segmenter> segmenter;
  std::map<std::pair<int, int>, int> warm_passes;  // by frame size; guarded by Impl::mutex
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
  bool warming = false;  // one thread at a time, so that another one goes on with keyframes
  std::list<std::shared_ptr<Peer>> peers;
  std::list<Refused> refused;         // guarded by mutex
  std::atomic<bool> draining{false};  // set with mutex held
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
  void Report(const ServedKeyframe& keyframe);
  bool Greet(Peer& peer);
  void Receive(Peer& peer);
  void HandleMessage(Peer& peer, ByteSpan bytes);
  void NotifyOfWork();
  std::string ReasonToRefuse() const;  // a newcomer; under the mutex
  void Refuse(std::unique_ptr<Link> link, const std::string& reason);
  void AdmitOrRefuse(Peer& peer, const Hello& hello, Welcome& welcome);
  stac::Status WaitUntilWarm(Peer& peer);
  int WarmUpPasses() const;
  bool IsWarm(std::pair<int, int> size) const;
  bool WarmUpOnce(NetworkRunner& runner, std::unique_lock<std::mutex>& lock);
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

}  // namespace stac
