#include "stac/lab/simulation/stream_run.h"

#include <algorithm>
#include <cmath>
#include <deque>
#include <limits>
#include <variant>

#include "stac/base/check.h"
#include "stac/lab/session_options.h"
#include "stac/transport/simulated_link.h"

namespace stac {
namespace {

constexpr Micros kNever = std::numeric_limits<Micros>::max();
constexpr Micros kSecond = 1'000'000;
// As the live device has it: what could not be sent for so long is worthless.
constexpr Micros kKeyframeTtl = 2'000'000;
constexpr Micros kLastAnswers = 10 * kSecond;

Micros FromMs(double ms) { return static_cast<Micros>(std::llround(ms * 1000)); }

SimulatedLinkOptions LinkOptions(const StreamOptions& options, const Trace& uplink) {
  SimulatedDirection up{.trace = uplink,
                        .delay_us = FromMs(options.link.delay_ms),
                        .jitter_us = FromMs(options.link.jitter_ms),
                        .loss = options.link.loss};
  SimulatedDirection down = up;
  down.trace = ConstantTrace(options.link.down_kbps);
  return {.up = std::move(up), .down = std::move(down), .seed = options.seed};
}

// The frame that a message of either side belongs to; nullopt: the session as a whole.
std::optional<FrameId> FrameOf(const Message& message) {
  if (const auto* coded = std::get_if<CodedFrame>(&message)) return coded->frame;
  if (const auto* levels = std::get_if<Levels>(&message)) return levels->frame;
  if (const auto* labels = std::get_if<Labels>(&message)) return labels->frame;
  if (const auto* stats = std::get_if<ServerStats>(&message)) return stats->frame;
  return std::nullopt;
}

SendGateOptions GateOptions(const StreamOptions& options, double fps) {
  SendGateOptions gate = options.link.gate;
  gate.spare = options.spare;
  gate.frame_interval_ms = 1e3 / fps;
  gate.coarser = options.coarser;
  return gate;
}

class Simulation {
 public:
  Simulation(const SystemSpec& spec, const StreamInputs& inputs, const LoopedClip& frames,
             const Trace& uplink, Controller& controller, const StreamOptions& options,
             const LabTools& tools)
      : spec_(spec),
        in_(inputs),
        frames_(frames),
        controller_(controller),
        options_(options),
        capacity_(uplink),
        link_(MakeSimulatedLink(LinkOptions(options, uplink), &clock_)),
        system_(spec, inputs, frames, &clock_, tools),
        content_(options.content, frames, tools),
        gate_(GateOptions(options, inputs.clip.fps)),
        score_(frames, inputs.reference, inputs.network.info().class_count),
        propagates_(ShowsPropagatedLabels(spec)) {}

  Result<StreamResult> Run() {
    STAC_RETURN_IF_ERROR(system_.Connect());
    const auto count = static_cast<FrameId>(std::llround(options_.seconds * in_.clip.fps));
    for (FrameId id = 0; id < count; ++id) {
      const Micros captured = frames_.At(id).pts;
      const auto second = static_cast<size_t>(captured / kSecond);
      if (second >= result_.seconds.size()) {
        STAC_RETURN_IF_ERROR(RunUntil(static_cast<Micros>(second) * kSecond));
        STAC_RETURN_IF_ERROR(StartSecond(second, id));
      }
      STAC_RETURN_IF_ERROR(RunUntil(captured));
      STAC_RETURN_IF_ERROR(Capture(id));
    }
    // Answers that are on their way when the last frame is captured count as all others.
    STAC_RETURN_IF_ERROR(RunUntil(static_cast<Micros>(options_.seconds * 1e6) + kLastAnswers));
    if (propagates_) {
      score_.FinishPropagated(count);
    } else {
      score_.FinishWaiting(count);
    }
    result_.frames = score_.frames();
    AverageSeconds();
    return std::move(result_);
  }

 private:
  struct Outgoing {
    FrameId frame = 0;
    Bytes wire;
    Micros ready = kNever;
  };
  struct Working {
    PendingFrame frame;
    Micros done = kNever;
  };
  struct OnItsWay {
    std::optional<FrameId> frame;  // nullopt: another message
    Micros sent = 0;
  };

  // --- every second ---
  Status StartSecond(size_t second, FrameId next) {
    SecondOutcome outcome;
    const auto start = static_cast<Micros>(second) * kSecond;
    outcome.bandwidth_kbps =
        (capacity_.BitsUntil(start + kSecond) - capacity_.BitsUntil(start)) / 1000;
    outcome.told_kbps =
        options_.oracle ? outcome.bandwidth_kbps : link_.device->Stats().estimated_kbps;
    outcome.decision = Clamp(options_.start, options_.limits);
    if (second > 0) {
      const SecondOutcome& last = result_.seconds.back();
      STAC_ASSIGN_OR_RETURN(const ContentMetrics content, content_.BeforeSecond(next));
      // What was sent goes with the rate at which it was sent, as on the device; a second without
      // keyframes tells nothing about either.
      if (last.keyframes > 0) {
        known_.SetSent(last.decision, last.keyframes, last.coded_kbps, held_back_);
      }
      known_.c = content.c;
      known_.d = content.d;
      known_.bandwidth_kbps = outcome.told_kbps;
      outcome.decision = last.decision;
      if (known_.last_kbps > 0 && outcome.told_kbps > 0) {
        outcome.decision = Clamp(controller_.Decide(known_), options_.limits);
      }
      if (outcome.decision != last.decision && options_.link.discard_unfinished) Discard();
    }
    result_.seconds.push_back(outcome);
    held_back_ = false;
    gate_.StartSegment(clock_.Now(), outcome.told_kbps);
    configured_ = outcome.decision;
    configured_.keyframe_fps =
        std::min(gate_.KeyframeRate(outcome.decision, Known(outcome).has_value()),
                 options_.limits.max_keyframe_fps);
    system_.Configure(configured_);
    Post(std::nullopt, Serialize(system_.device().configuration()), 0);
    return OkStatus();
  }

  void Discard() {
    for (int64_t left = link_.device->DiscardUnsent(); left > 0; --left) {
      STAC_CHECK(!on_its_way_.empty());
      if (const auto frame = on_its_way_.back().frame) Lose(*frame);
      on_its_way_.pop_back();
    }
  }
  void Lose(FrameId frame) { system_.device().OnKeyframeLost(frame); }

  // --- every frame ---
  Status Capture(FrameId id) {
    const Frame frame = frames_.At(id);
    content_.OnFrame(frame);
    DeviceSession& device = system_.device();
    const LabelMap& labels = device.OnFrame(frame);
    if (propagates_) {
      const auto& times = options_.compute;
      score_.OnPropagated(id, labels, times.measured ? frames_.flow_ms() : times.flow_ms);
    }
    NoticeExpired();
    SecondOutcome& second = result_.seconds.back();
    if (coding_.ready != kNever || !device.KeyframeDue()) return OkStatus();
    const ControlDecision keyframe = Clamp(gate_.ForKeyframe(second.decision), options_.limits);
    if (!MayCode(second, keyframe)) {
      held_back_ = true;
      return OkStatus();
    }
    configured_.base_qp = keyframe.base_qp;
    system_.Configure(configured_);
    Stopwatch watch;
    const auto job = system_.Plan(frame);
    if (!job) return OkStatus();
    STAC_ASSIGN_OR_RETURN(EncodedFrame coded, device.Encode(*job));
    const bool idr = coded.idr;
    coding_.frame = id;
    coding_.wire = Serialize(device.MakeMessage(*job, std::move(coded)));
    coding_.ready = clock_.Now() + FromMs(options_.compute.measured ? watch.Milliseconds()
                                                                    : options_.compute.encode_ms);
    gate_.OnCoded(coding_.wire.size(), keyframe, idr);
    second.coded_kbps += static_cast<double>(coding_.wire.size()) * 8e-3;
    ++second.keyframes;
    return OkStatus();
  }

  // What the link carries; nullopt: before the first estimate.
  std::optional<double> Known(const SecondOutcome& second) const {
    if (second.told_kbps > 0 || options_.oracle) return second.told_kbps;
    return std::nullopt;
  }
  bool MayCode(const SecondOutcome& second, const ControlDecision& keyframe) const {
    return gate_.MayCode(clock_.Now(), keyframe, link_.device->Stats(), Known(second));
  }

  // Messages that waited for too long are gone: whatever has not arrived may be among them.
  void NoticeExpired() {
    const int64_t expired = link_.device->Stats().messages_expired;
    if (expired == expired_) return;
    expired_ = expired;
    for (const OnItsWay& message : on_its_way_) {
      if (message.frame) Lose(*message.frame);
    }
  }

  // --- between frames ---
  Status RunUntil(Micros time) {
    for (;;) {
      STAC_RETURN_IF_ERROR(Serve());
      const Micros next =
          std::min({coding_.ready, working_.done, link_.device->NextEvent().value_or(kNever)});
      if (next > time) break;
      clock_.AdvanceTo(std::max(next, clock_.Now()));
    }
    clock_.AdvanceTo(time);
    return Serve();
  }

  // Everything that is due now.
  Status Serve() {
    const Micros now = clock_.Now();
    if (coding_.ready <= now) SendCoded();
    for (;;) {
      STAC_ASSIGN_OR_RETURN(const auto wire, link_.server->Receive());
      if (!wire) break;
      STAC_RETURN_IF_ERROR(ReceiveAtServer(*wire));
    }
    if (working_.done <= now) STAC_RETURN_IF_ERROR(FinishWork());
    if (working_.done == kNever) STAC_RETURN_IF_ERROR(StartWork());
    for (;;) {
      STAC_ASSIGN_OR_RETURN(const auto wire, link_.device->Receive());
      if (!wire) break;
      STAC_RETURN_IF_ERROR(ReceiveAtDevice(*wire));
    }
    return OkStatus();
  }

  void SendCoded() {
    Post(coding_.frame, coding_.wire, kKeyframeTtl);
    coding_.ready = kNever;
  }
  void Post(std::optional<FrameId> frame, const Bytes& wire, Micros ttl) {
    if (link_.device->Send(wire, ttl)) {
      on_its_way_.push_back({frame, clock_.Now()});
    } else if (frame) {
      Lose(*frame);
    }
  }

  Status ReceiveAtServer(const Bytes& wire) {
    STAC_ASSIGN_OR_RETURN(const Message message, Parse(wire));
    const auto frame = FrameOf(message);
    // First in, first out: what stands before it has expired.
    while (!on_its_way_.empty() && on_its_way_.front().frame != frame) on_its_way_.pop_front();
    if (!on_its_way_.empty()) {
      if (frame) score_.OnArrived(*frame, on_its_way_.front().sent, clock_.Now());
      on_its_way_.pop_front();
    }
    STAC_ASSIGN_OR_RETURN(const auto at_once, system_.server().OnMessage(message));
    return Answer(at_once);
  }

  Status StartWork() {
    auto pending = system_.server().TakePending();
    if (!pending) return OkStatus();
    const auto& times = options_.compute;
    const double given =
        times.decode_ms + times.forward_ms + (UsesLevels(spec_) ? times.gradient_ms : 0);
    working_.frame = std::move(*pending);
    working_.done = clock_.Now() + FromMs(given);
    if (times.measured) {  // the answer is needed to know how long it takes
      STAC_ASSIGN_OR_RETURN(measured_, system_.Segment(working_.frame));
      working_.done = clock_.Now() + FromMs(measured_.stats.decode_ms + measured_.stats.forward_ms +
                                            measured_.stats.gradient_ms);
    }
    return OkStatus();
  }

  Status FinishWork() {
    working_.done = kNever;
    ServerAnswer answer = std::move(measured_);
    measured_ = {};
    if (!options_.compute.measured) {
      STAC_ASSIGN_OR_RETURN(answer, system_.Segment(working_.frame));
    }
    const FrameId id = working_.frame.frame.id;
    answers_[id] = *system_.server().LabelsSent(id);
    return Answer(answer.messages);
  }

  Status Answer(const std::vector<Message>& messages) {
    for (const Message& message : messages) {
      STAC_RETURN_IF_ERROR(link_.server->Send(Serialize(message), 0));
    }
    return OkStatus();
  }

  Status ReceiveAtDevice(const Bytes& wire) {
    STAC_ASSIGN_OR_RETURN(const Message message, Parse(wire));
    const auto frame = FrameOf(message);
    if (!frame) return Fail("the server sent a message without a frame");
    STAC_ASSIGN_OR_RETURN(const auto report, system_.device().OnMessage(message));
    if (!report) return OkStatus();
    const auto labels = answers_.find(*frame);
    if (labels == answers_.end()) return OkStatus();  // dropped by the server, or an error
    score_.OnAnswered(*frame, labels->second, clock_.Now());
    answers_.erase(answers_.begin(), std::next(labels));
    return OkStatus();
  }

  void AverageSeconds() {
    std::vector<int> counts(result_.seconds.size());
    for (const FrameOutcome& frame : result_.frames) {
      const auto second = std::min(static_cast<size_t>(frame.time_s), counts.size() - 1);
      result_.seconds[second].pa += frame.pa;
      ++counts[second];
    }
    for (size_t i = 0; i < counts.size(); ++i) {
      if (counts[i] > 0) result_.seconds[i].pa /= counts[i];
    }
  }

  const SystemSpec& spec_;
  const StreamInputs& in_;
  const LoopedClip& frames_;
  Controller& controller_;
  const StreamOptions& options_;

  ManualClock clock_;
  TraceIntegral capacity_;
  SimulatedLinkPair link_;
  StreamSystem system_;
  SegmentContent content_;
  ControlInput known_;      // what the controller is told
  bool held_back_ = false;  // the link had no room for a keyframe in this second
  SendGate gate_;
  ControlDecision configured_;  // of the session: spare keyframes included
  StreamScore score_;
  const bool propagates_;

  Outgoing coding_;                  // in the encoder
  std::deque<OnItsWay> on_its_way_;  // sent and not arrived, oldest first
  int64_t expired_ = 0;
  Working working_;  // in the network
  ServerAnswer measured_;
  std::map<FrameId, LabelMap> answers_;  // of the server, until the device has them
  StreamResult result_;
};

}  // namespace

Result<StreamResult> RunStream(const SystemSpec& spec, const StreamInputs& inputs,
                               const LoopedClip& frames, const Trace& uplink,
                               Controller& controller, const StreamOptions& options,
                               const LabTools& tools) {
  STAC_CHECK(IsAdaptive(spec));
  return Simulation(spec, inputs, frames, uplink, controller, options, tools).Run();
}

}  // namespace stac
