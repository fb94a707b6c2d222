#include "stac/device/live_device.h"

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <set>
#include <utility>

#include "stac/base/job_thread.h"
#include "stac/base/log.h"
#include "stac/base/reason.h"
#include "stac/device/connector.h"
#include "stac/device/frame_capture.h"
#include "stac/device/frame_pacer.h"

namespace stac {
namespace {

// How long the loop sleeps at most before it looks at everything again, where only one of its
// events would wake it; and where all of them would, before it looks whether it is to stop.
constexpr Micros kLoopWait = 2'000;
constexpr Micros kIdleWait = 20'000;
// Kinds of errors of the server that are logged: it may make up new ones for ever.
constexpr size_t kMostErrorsSaid = 20;

// Says to one thread that another one is done with something.
class Signal {
 public:
  void Notify() {
    std::lock_guard lock(mutex_);
    raised_ = true;
    changed_.notify_one();
  }
  // Returns at once if it was notified since the last call.
  void WaitFor(Micros timeout) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, std::chrono::microseconds(timeout), [this] { return raised_; });
    raised_ = false;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool raised_ = false;
};

struct Planned {
  KeyframeJob job;
  double plan_ms = 0;
};

struct Coded {
  Planned plan;
  Result<EncodedFrame> frame;
  double encode_ms = 0;
};

Coded Encode(DeviceSession& session, Planned plan) {
  const Stopwatch watch;
  auto frame = session.Encode(plan.job);
  return {std::move(plan), std::move(frame), watch.Milliseconds()};
}

struct Decoded {
  LabelsJob job;
  Result<LabelMap> labels;
  double decode_ms = 0;
};

Decoded Decode(LabelsJob job) {
  const Stopwatch watch;
  auto labels = DecodeLabels(job);
  return {std::move(job), std::move(labels), watch.Milliseconds()};
}

}  // namespace

struct LiveDevice::Impl {
  LiveDeviceOptions options;
  DeviceSession* session;
  FrameSource* source;
  DeviceSink* sink;
  Connector connector;

  SystemClock clock;
  DeviceTotals totals;
  std::unique_ptr<Link> link;
  FrameCapture capture;
  Signal finished;  // a keyframe is coded, or labels are decoded
  JobThread<Planned, Coded> coder;
  JobThread<LabelsJob, Decoded> decoder;
  bool connected_before = false;
  int64_t expired = 0;  // messages of this link that were noticed
  std::optional<FlowGovernor> governor;
  std::set<std::string> errors_said;  // without their numbers

  Impl(LiveDeviceOptions o, DeviceSession* s, FrameSource* f, Connect c, DeviceSink* k)
      : options(std::move(o)),
        session(s),
        source(f),
        sink(k),
        connector(std::move(c)),
        capture(f, &clock),
        coder([s](Planned plan) { return Encode(*s, std::move(plan)); },
              [this] { finished.Notify(); }),
        decoder(Decode, [this] { finished.Notify(); }) {}

  Status Adopt(Connection adopted);
  void Disconnect(const std::string& reason);
  void Send(const Message& message, int64_t& bytes, Micros ttl);
  void ReceiveMessages();
  void Absorb(Message message);
  void AbsorbDecoded();
  void SendCoded();
  void Serve();
  void WaitUntil(Micros time, const std::atomic<bool>& stop);
  void OnFrame(const Frame& frame, Micros available);
  void NoticeExpired(const LinkStats& stats);
  void NoticeError(const ServerStats& stats);
  void Adapt(const LinkStats& stats);
  bool ConfigureKeyframe(const LinkStats& stats);
  void SendLabels(const LinkStats& stats, FrameRecord& record);
  Status Loop(const std::atomic<bool>& stop);
};

// Over a new connection the server is told the configuration. An error is a welcome that this
// device cannot use.
Status LiveDevice::Impl::Adopt(Connection adopted) {
  link = std::move(adopted.link);
  if (std::exchange(connected_before, true)) ++totals.reconnects;
  expired = 0;
  if (options.adaptation != nullptr) options.adaptation->OnConnected();
  STAC_RETURN_IF_ERROR(session->OnWelcome(adopted.welcome));
  spdlog::info("connected: network {} with {} classes", adopted.welcome.network,
               adopted.welcome.class_count);
  Send(options.configuration, totals.video_bytes, 0);
  return OkStatus();
}

void LiveDevice::Impl::Disconnect(const std::string& reason) {
  if (!link) return;
  spdlog::warn("connection lost ({}); labels go on from the last ones, reconnecting", reason);
  session->OnDisconnected();
  connector.Start(session->MakeHello(), {}, std::move(link));
}

void LiveDevice::Impl::Send(const Message& message, int64_t& bytes, Micros ttl) {
  const Bytes serialized = Serialize(message);
  if (const Status status = link->Send(serialized, ttl); !status) {
    Disconnect(status.error().message);
    return;
  }
  bytes += static_cast<int64_t>(serialized.size());
}

// Messages are absorbed in their order, so none is taken from the link while labels are decoded.
void LiveDevice::Impl::ReceiveMessages() {
  while (link && !decoder.busy()) {
    auto received = link->Receive();
    if (!received) return Disconnect(received.error().message);
    if (!*received) return;
    totals.feedback_bytes += static_cast<int64_t>((*received)->size());
    auto message = Parse(**received);
    if (!message) return Disconnect(message.error().message);
    Absorb(std::move(*message));
  }
}

void LiveDevice::Impl::Absorb(Message message) {
  if (auto* labels = std::get_if<Labels>(&message)) {
    auto job = session->BeginLabels(std::move(*labels));
    if (!job) return Disconnect(job.error().message);
    if (!*job) return;
    return decoder.Start(std::move(**job));
  }
  auto report = session->OnMessage(message);
  if (!report) return Disconnect(report.error().message);
  if (!*report) return;
  connector.OnAnswer();
  if (!(*report)->server.error.empty()) NoticeError((*report)->server);
  sink->OnFeedback(**report);
}

void LiveDevice::Impl::AbsorbDecoded() {
  auto done = decoder.Poll();
  if (!done || !link) return;
  const Status status = session->FinishLabels(done->job, std::move(done->labels), done->decode_ms);
  if (!status) Disconnect(status.error().message);
}

void LiveDevice::Impl::SendCoded() {
  auto done = coder.Poll();
  if (!done) return;
  const KeyframeJob& job = done->plan.job;
  KeyframeRecord record{
      .frame = job.frame.id, .plan_ms = done->plan.plan_ms, .encode_ms = done->encode_ms};
  if (!done->frame) {
    spdlog::error("keyframe {}: {}", record.frame, done->frame.error().message);
    return session->OnKeyframeLost(record.frame);
  }
  record.idr = done->frame->idr;
  record.scale = static_cast<double>(job.frame.width()) / source->info().width;
  record.bytes = done->frame->access_unit.size();
  record.mean_qp = done->frame->mean_qp;
  const Bytes access_unit = done->frame->access_unit;
  if (link && session->Awaits(record.frame)) {
    const int64_t before = totals.video_bytes;
    Send(session->MakeMessage(job, std::move(*done->frame)), totals.video_bytes,
         options.keyframe_ttl);
    record.sent = link != nullptr;
    if (record.sent && options.adaptation != nullptr) {
      options.adaptation->OnKeyframeSent(static_cast<size_t>(totals.video_bytes - before),
                                         record.idr);
    }
  }
  if (!record.sent) session->OnKeyframeLost(record.frame);
  ++totals.keyframes;
  sink->OnKeyframe(record, job, access_unit);
}

void LiveDevice::Impl::Serve() {
  SendCoded();
  AbsorbDecoded();
  if (link) {
    ReceiveMessages();
  } else if (auto found = connector.Poll()) {
    if (const Status status = Adopt(std::move(*found)); !status) Disconnect(status.error().message);
  }
}

void LiveDevice::Impl::WaitUntil(Micros time, const std::atomic<bool>& stop) {
  for (;;) {
    Serve();
    const Micros left = time - clock.Now();
    if (left <= 0 || stop) return;
    if (link && !coder.busy() && !decoder.busy()) {
      link->Wait(std::min(left, kIdleWait));
    } else {
      finished.WaitFor(std::min(left, kLoopWait));
    }
  }
}

// A keyframe that the link dropped takes the references of those after it along.
void LiveDevice::Impl::NoticeExpired(const LinkStats& stats) {
  if (stats.messages_expired == expired) return;
  totals.expired += stats.messages_expired - expired;
  expired = stats.messages_expired;
  session->OnMessagesExpired();
}

void LiveDevice::Impl::NoticeError(const ServerStats& stats) {
  ++totals.errors;
  if (errors_said.size() < kMostErrorsSaid &&
      errors_said.insert(WithoutNumbers(stats.error)).second) {
    spdlog::warn("the server could not use keyframe {}: {} (said once)", stats.frame, stats.error);
  }
}

void LiveDevice::Impl::Adapt(const LinkStats& stats) {
  const auto record = options.adaptation->Decide(clock.Now(), stats);
  if (!record) return;
  sink->OnDecision(*record);
  Configuration wanted = options.configuration;
  wanted.base_qp = record->decision.base_qp;
  wanted.keyframe_fps = record->keyframe_rate;
  wanted.scale = record->decision.scale;
  if (wanted == options.configuration) return;
  options.configuration = wanted;
  session->Configure(wanted);
  Send(wanted, totals.video_bytes, 0);
}

// For a keyframe that goes now, which has a QP of its own; false: none may. The server is told of
// decisions only: levels are offsets from a base QP that travels with them.
bool LiveDevice::Impl::ConfigureKeyframe(const LinkStats& stats) {
  if (options.adaptation == nullptr) return true;
  const auto qp = options.adaptation->KeyframeQp(clock.Now(), stats);
  if (!qp) return false;
  Configuration keyframe = options.configuration;
  keyframe.base_qp = *qp;
  session->Configure(keyframe);
  return true;
}

// Drop before coding: labels that would only queue up are not predicted from, nor sent.
void LiveDevice::Impl::SendLabels(const LinkStats& stats, FrameRecord& record) {
  constexpr int64_t kUpstreamQueue = 64 << 10;
  if (stats.unsent_bytes >= kUpstreamQueue) return;
  auto upstream = session->MakeUpstreamLabels();
  if (!upstream) {
    spdlog::error("labels of frame {}: {}", record.frame, upstream.error().message);
  } else if (*upstream) {
    const int64_t before = totals.label_bytes;
    Send(**upstream, totals.label_bytes, 0);
    record.label_bytes = totals.label_bytes - before;
    if (options.adaptation != nullptr) {
      options.adaptation->OnLabelsSent(static_cast<size_t>(record.label_bytes));
    }
  }
}

void LiveDevice::Impl::OnFrame(const Frame& frame, Micros available) {
  Stopwatch watch;
  FrameRecord record{.frame = frame.id, .pts = frame.pts};
  const LabelMap& labels = session->OnFrame(frame);
  record.propagate_ms = watch.Milliseconds();
  record.label_latency_ms = static_cast<double>(clock.Now() - available) / 1000;
  record.label_age = session->label_age().value_or(-1);
  record.stages = session->stages();
  if (governor) {
    record.flow_grid = governor->grid();
    const double late_ms = record.label_latency_ms - 1e3 / source->info().fps;
    session->SetFlowGrid(governor->OnFrame(record.stages.flow_ms,
                                           record.propagate_ms - record.stages.flow_ms, late_ms));
  }

  Adaptation* adaptation = options.adaptation;
  if (adaptation != nullptr) adaptation->OnFrame(frame);
  LinkStats stats;
  if (link) {
    stats = link->Stats();
    NoticeExpired(stats);
    SendLabels(stats, record);
    if (link && adaptation != nullptr) Adapt(stats);
  }
  if (link && !coder.busy() && session->KeyframeDue() && ConfigureKeyframe(stats)) {
    Stopwatch plan;
    if (auto job = session->PlanKeyframe()) {
      record.keyframe = true;
      coder.Start({std::move(*job), plan.Milliseconds()});
    }
  }
  ++totals.frames;
  sink->OnFrame(record, frame, labels);
}

Status LiveDevice::Impl::Loop(const std::atomic<bool>& stop) {
  const SourceInfo& info = source->info();
  const bool pace = options.pace && !info.live;
  // For files: the server gets the time to answer instead of being outrun.
  const bool stepped = !options.pace && !info.live;
  const auto interval = static_cast<Micros>(1e6 / info.fps);
  if (options.flow_governor && (pace || info.live)) {
    governor.emplace(*options.flow_governor, 1e3 / info.fps);
    session->SetFlowGrid(governor->grid());
  }
  FramePacer pacer;
  while (!stop) {
    Serve();
    const auto captured = capture.Next(kLoopWait);
    if (!captured) {
      if (capture.ended()) break;
      pacer.OnStarved();
      continue;
    }
    if (!captured->frame) return tl::unexpected<Error>(captured->frame.error());
    const Frame& frame = *captured->frame;
    if (options.seconds > 0 && static_cast<double>(frame.pts) >= options.seconds * 1e6) break;
    const double seconds = static_cast<double>(frame.pts + interval) / 1e6;
    Micros available = captured->at;
    if (pace) {
      const auto due = pacer.Due(frame.pts, captured->at, clock.Now());
      if (!due) {
        ++totals.dropped;
        totals.seconds = seconds;
        continue;
      }
      WaitUntil(*due, stop);
      if (stop) break;
      available = std::max(*due, captured->at);
    }
    while (stepped && !link && !stop) WaitUntil(clock.Now() + kLoopWait, stop);
    totals.seconds = seconds;
    if (stepped) available = clock.Now();  // it waited for the answers to others
    OnFrame(frame, available);
    // No frame comes in the meantime that would tell of an answer that never will.
    if (stepped) {
      while (!stop && link && (coder.busy() || session->unanswered() > 0)) {
        WaitUntil(clock.Now() + kLoopWait, stop);
        if (link) NoticeExpired(link->Stats());
        session->ExpireUnanswered();
      }
    }
  }
  // Drain: what is being coded still goes out, and answers on their way are counted.
  const Micros deadline = clock.Now() + 3'000'000;
  while (link && (coder.busy() || session->unanswered() > 0) && clock.Now() < deadline) {
    WaitUntil(clock.Now() + kLoopWait, stop);
    Serve();
    if (stop && !coder.busy()) break;
  }
  return OkStatus();
}

LiveDevice::LiveDevice(LiveDeviceOptions options, DeviceSession* session, FrameSource* source,
                       Connect connect, DeviceSink* sink)
    : impl_(std::make_unique<Impl>(std::move(options), session, source, std::move(connect), sink)) {
}

LiveDevice::~LiveDevice() = default;

Result<DeviceTotals> LiveDevice::Run(const std::atomic<bool>& stop) {
  Impl& impl = *impl_;
  if (impl.options.adaptation != nullptr) {
    const ControlDecision& start = impl.options.adaptation->decision();
    impl.options.configuration = {
        .base_qp = start.base_qp, .keyframe_fps = start.keyframe_fps, .scale = start.scale};
  }
  impl.session->Configure(impl.options.configuration);
  STAC_RETURN_IF_ERROR(impl.session->CheckEncoder());
  auto first = impl.connector.ConnectOnce(impl.session->MakeHello(), stop);
  if (first) {
    STAC_RETURN_IF_ERROR(impl.Adopt(std::move(*first)));
  } else if (impl.options.keep_trying) {
    if (!stop) spdlog::warn("{}; trying again", first.error().message);
    impl.connector.Start(impl.session->MakeHello(), first.error().message);
  } else {
    return tl::unexpected<Error>(std::move(first).error());
  }

  impl.capture.Start(stop);
  const Status outcome = impl.Loop(stop);
  impl.capture.Stop();
  impl.coder.Stop();
  impl.decoder.Stop();
  impl.connector.Stop();
  if (impl.link) {
    (void)impl.link->Send(Serialize(Bye{.reason = "end of the stream"}), 0);
    impl.link->Close();
  }
  impl.totals.dropped += impl.capture.dropped();
  impl.totals.outcome = outcome;
  return impl.totals;
}

}  // namespace stac
