#pragma once

#include <atomic>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "stac/base/clock.h"
#include "stac/base/result.h"
#include "stac/quant/profile.h"
#include "stac/transport/link.h"
#include "stac/video/maps.h"
#include "stac/wire/messages.h"

namespace stac {

// A clip that plays forwards and backwards for ever: frame id -> place in the clip.
int PlaceInLoop(FrameId frame, int clip_length);

// Stands in for a server in benchmarks of the device: answers each keyframe after a fixed time
// with labels recorded beforehand and levels drawn from them, coded as a server codes them. Coded
// answers are kept, so that once the clip has played it costs next to nothing; what it still costs
// is known, so that the device's share of the processor can be told.
class ReplayServer {
 public:
  // `labels`: of every frame of the clip, which the device plays as PlaceInLoop says.
  ReplayServer(std::vector<LabelMap> labels, int class_count, Micros answer_after);
  ~ReplayServer();

  // The device's end of a new connection; an earlier one ends.
  std::unique_ptr<Link> Connect();
  // Processor time of all threads of this object so far.
  double CpuMilliseconds() const { return static_cast<double>(cpu_us_) / 1000; }

 private:
  struct Answer {
    Bytes levels, labels;
  };
  struct Due {
    Micros at;
    FrameId frame, held;
  };
  void Serve(Link& link);
  bool Handle(Link& link, const Message& message);
  void SendDue(Link& link);
  const Answer& AnswerFor(FrameId frame, FrameId held);
  LevelMap LevelsOf(const LabelMap& labels) const;
  void Stop();

  const std::vector<LabelMap> labels_;
  const Profile profile_;
  const Micros answer_after_;
  const SystemClock clock_;
  int region_size_ = kMacroblock;
  double base_qp_ = 30;
  std::deque<Due> due_;
  std::map<std::pair<int, int>, Answer> answers_;  // by places of the frame and of what is held
  std::unique_ptr<Link> link_;
  std::thread thread_;
  std::atomic<bool> stop_{false};
  std::atomic<int64_t> cpu_us_{0};
};

}  // namespace stac
