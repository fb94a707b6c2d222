#include "replay_server.h"

#include <algorithm>
#include <cmath>
#include <ctime>
#include <functional>

#include "stac/base/check.h"
#include "stac/codec/label_coder.h"
#include "stac/codec/label_grid.h"

namespace stac {
namespace {

constexpr Micros kIdleWait = 20'000;
// QP of regions with and without a boundary between classes, relative to the base QP.
constexpr double kBoundaryOffset = -5;
constexpr double kCalmOffset = 3;

int64_t ThreadCpuMicros() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return int64_t{time.tv_sec} * 1'000'000 + time.tv_nsec / 1000;
}

}  // namespace

int PlaceInLoop(FrameId frame, int clip_length) {
  STAC_CHECK_GE(clip_length, 1);
  const auto last = static_cast<FrameId>(clip_length - 1);
  if (last == 0) return 0;
  const FrameId place = frame % (2 * last);
  return static_cast<int>(place <= last ? place : 2 * last - place);
}

ReplayServer::ReplayServer(std::vector<LabelMap> labels, int class_count, Micros answer_after)
    : labels_(std::move(labels)),
      profile_(UncalibratedProfile("replay", "0000000000000000", class_count)),
      answer_after_(answer_after) {
  STAC_CHECK(!labels_.empty());
}

ReplayServer::~ReplayServer() { Stop(); }

void ReplayServer::Stop() {
  stop_ = true;
  if (thread_.joinable()) thread_.join();
  stop_ = false;
  due_.clear();
}

std::unique_ptr<Link> ReplayServer::Connect() {
  Stop();
  LinkPair pair = MakeLoopback();
  link_ = std::move(pair.b);
  thread_ = std::thread([this] { Serve(*link_); });
  return std::move(pair.a);
}

void ReplayServer::Serve(Link& link) {
  int64_t counted = ThreadCpuMicros();
  while (!stop_) {
    auto received = link.Receive();
    if (!received) break;
    if (*received) {
      const auto message = Parse(**received);
      if (!message || !Handle(link, *message)) break;
    } else {
      const Micros left = due_.empty() ? kIdleWait : due_.front().at - clock_.Now();
      if (left > 0) link.Wait(std::min(left, kIdleWait));
    }
    SendDue(link);
    const int64_t now = ThreadCpuMicros();
    cpu_us_ += now - std::exchange(counted, now);
  }
  link.Close();
}

bool ReplayServer::Handle(Link& link, const Message& message) {
  if (const auto* hello = std::get_if<Hello>(&message)) {
    if (std::exchange(region_size_, hello->region_size) != region_size_) answers_.clear();
    const Welcome welcome{.accepted = true,
                          .network = profile_.network,
                          .class_count = profile_.class_count,
                          .profile_json = ToJson(profile_)};
    return link.Send(Serialize(welcome), 0).has_value();
  }
  if (const auto* configuration = std::get_if<Configuration>(&message)) {
    if (std::exchange(base_qp_, configuration->base_qp) != base_qp_) answers_.clear();
  } else if (const auto* coded = std::get_if<CodedFrame>(&message)) {
    due_.push_back({clock_.Now() + answer_after_, coded->frame, coded->held});
    // Prepared while the answer is not due: a real server works in that time, too.
    AnswerFor(coded->frame, coded->held);
  }
  return !std::holds_alternative<Bye>(message);
}

void ReplayServer::SendDue(Link& link) {
  while (!due_.empty() && due_.front().at <= clock_.Now()) {
    const Due due = due_.front();
    due_.pop_front();
    const Answer& answer = AnswerFor(due.frame, due.held);
    const double answer_ms = static_cast<double>(answer_after_) / 1000;
    const ServerStats stats{.frame = due.frame,
                            .processing_ms = answer_ms,
                            .forward_ms = std::max(answer_ms, 1e-3)};  // 0 would mean dropped
    for (const Message& message : std::initializer_list<Message>{
             Levels{.frame = due.frame,
   .previous = due.held,
   .base_qp = base_qp_,
   .coded = answer.levels},
             Labels{.frame = due.frame, .previous = due.held, .coded = answer.labels}, stats}) {
      if (!link.Send(Serialize(message), 0)) return;
    }
  }
}

const ReplayServer::Answer& ReplayServer::AnswerFor(FrameId frame, FrameId held) {
  const int length = static_cast<int>(labels_.size());
  const int place = PlaceInLoop(frame, length);
  const int held_place = held == frame ? -1 : PlaceInLoop(held, length);
  auto [found, is_new] = answers_.try_emplace({place, held_place});
  if (!is_new) return found->second;
  const LabelMap& now = labels_[static_cast<size_t>(place)];
  const LabelMap* before = held_place < 0 ? nullptr : &labels_[static_cast<size_t>(held_place)];
  LevelMap levels_before;
  if (before != nullptr) levels_before = LevelsOf(*before);
  found->second.levels = EncodeLevels(LevelsOf(now), before == nullptr ? nullptr : &levels_before);
  const int grid = LabelGridFor(base_qp_);
  std::optional<LabelMap> shown_before;
  if (before != nullptr) {
    shown_before =
        EnlargeLabels(ReduceLabels(*before, grid), grid, before->width(), before->height());
  }
  auto coded = EncodeLabelsAtGrid(now, grid, shown_before ? &*shown_before : nullptr);
  STAC_CHECK(coded.has_value());
  found->second.labels = std::move(coded->bytes);
  return found->second;
}

LevelMap ReplayServer::LevelsOf(const LabelMap& labels) const {
  const RegionGrid regions{labels.width(), labels.height(), region_size_};
  const LevelLadder ladder = profile_.ladder();
  LevelMap levels(regions.columns(), regions.rows());
  for (int j = 0; j < levels.height(); ++j) {
    for (int i = 0; i < levels.width(); ++i) {
      const int right = std::min((i + 1) * region_size_, labels.width());
      const int bottom = std::min((j + 1) * region_size_, labels.height());
      bool boundary = false;
      for (int y = j * region_size_; y < bottom; ++y) {
        const auto row = labels.Row(y).subspan(static_cast<size_t>(i) * region_size_,
                                               static_cast<size_t>(right - i * region_size_));
        boundary |= std::adjacent_find(row.begin(), row.end(), std::not_equal_to<>()) != row.end();
      }
      levels(i, j) = static_cast<uint8_t>(
          ladder.NearestLevel(base_qp_ + (boundary ? kBoundaryOffset : kCalmOffset)));
    }
  }
  return levels;
}

}  // namespace stac
