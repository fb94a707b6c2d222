#include "stac/device/device_session.h"

#include <algorithm>
#include <type_traits>
#include <utility>

#include "stac/allocate/residual_refine.h"
#include "stac/base/check.h"
#include "stac/codec/label_coder.h"
#include "stac/propagate/warp.h"

namespace stac {
namespace {

// Answers that the server may still refer to when it codes the next one.
constexpr size_t kKnownKept = 4;
// Awaited keyframes plus the one whose labels are in use.
constexpr int kAnchors = 8;

Result<ScalingMatrices> ChooseMatrices(const std::string& name, const Profile& profile) {
  if (name == "profile") return profile.gradient_matrices;
  if (name == "jvt") return JvtMatrices();
  if (name == "flat") return FlatMatrices();
  return Fail("unknown matrices '{}': use profile, jvt or flat", name);
}

PlannerOptions PlannerOf(const DeviceOptions& options) {
  PlannerOptions planner = options.planner;
  planner.codec = options.encoder.codec;
  return planner;
}

}  // namespace

DeviceSession::DeviceSession(DeviceOptions options, std::unique_ptr<OpticalFlow> flow,
                             EncoderFactory encoders, const Clock* clock)
    : options_(std::move(options)),
      flow_(std::move(flow)),
      encoders_(std::move(encoders)),
      clock_(clock),
      planner_(PlannerOf(options_), options_.width, options_.height),
      schedule_(options_.schedule),
      chain_(kAnchors) {
  configuration_.keyframe_fps = options_.schedule.keyframe_fps;
}

DeviceSession::~DeviceSession() = default;

// Without size and matrices.
EncoderOptions DeviceSession::EncoderSettings() const {
  EncoderOptions encoder = options_.encoder;
  encoder.fps = options_.fps;
  encoder.color = options_.color;
  encoder.want_reconstruction |= options_.hash_reconstruction || options_.refine_residual;
  return encoder;
}

Status DeviceSession::CheckEncoder() const {
  EncoderOptions encoder = EncoderSettings();
  encoder.width = coded_size().width;
  encoder.height = coded_size().height;
  STAC_ASSIGN_OR_RETURN(const auto opened, encoders_(encoder));
  return OkStatus();
}

Hello DeviceSession::MakeHello() const {
  Hello hello;
  hello.device = options_.name;
  hello.width = options_.width;
  hello.height = options_.height;
  hello.fps = options_.fps;
  hello.color = options_.color;
  hello.codec = options_.encoder.codec;
  if (options_.profile) hello.profile_hash = ProfileHash(*options_.profile);
  hello.server_consumes = options_.server_consumes;
  hello.coarse_labels = options_.coarse_labels;
  hello.region_size = regions().region_size;
  return hello;
}

Status DeviceSession::OnWelcome(const Welcome& welcome) {
  if (!welcome.accepted) return Fail("the server refused this device: {}", welcome.reason);
  STAC_ASSIGN_OR_RETURN(Profile profile, ProfileFromJson(welcome.profile_json));
  if (profile.class_count != welcome.class_count) {
    return Fail("the server's profile is for {} classes, its network has {}: calibrate again",
                profile.class_count, welcome.class_count);
  }
  const bool first = class_count_ == 0;
  if (first || ProfileHash(profile) != ProfileHash(profile_)) {
    EncoderOptions encoder = EncoderSettings();
    STAC_ASSIGN_OR_RETURN(matrices_, ChooseMatrices(options_.matrices, profile));
    encoder.matrices = matrices_;
    {
      const std::lock_guard guard(encoder_mutex_);
      encoder_options_ = std::move(encoder);
      STAC_RETURN_IF_ERROR(OpenEncoder(coded_size()));
    }
    known_.clear();  // labels of another network mean something else
    labels_ = {};
    last_refined_ = {};  // of another ladder
    last_reconstruction_ = {};
    profile_ = std::move(profile);
    class_count_ = welcome.class_count;
    planner_.SetLadder(profile_.ladder());
  }
  max_keyframe_fps_ = welcome.max_keyframe_fps;
  Configure(configuration_);
  connected_ = true;
  need_idr_ = true;
  return OkStatus();
}

Status DeviceSession::OpenEncoder(Size size) {
  encoder_.reset();
  encoder_options_.width = size.width;
  encoder_options_.height = size.height;
  STAC_ASSIGN_OR_RETURN(encoder_, encoders_(encoder_options_));
  return OkStatus();
}

void DeviceSession::OnDisconnected() {
  connected_ = false;
  need_idr_ = true;
  while (!awaited_.empty()) Forget(awaited_.begin()->first);
  schedule_.Reset();
  sent_motion_.reset();
  for (Feedback& feedback : known_) feedback.at_server = false;
  arriving_ = {};
}

const LabelMap& DeviceSession::OnFrame(const Frame& frame) {
  STAC_CHECK(frame.width() == options_.width && frame.height() == options_.height);
  frame_ = frame;
  frame_at_ = clock_->Now();
  Stopwatch watch;
  flow_->Next(frame, then_from_now_);
  stages_.flow_ms = watch.Lap();
  chain_.Advance(then_from_now_);
  stages_.chain_ms = watch.Lap();
  labels_current_ = false;
  const LabelMap& labels_in_now = labels();
  stages_.map_ms = watch.Lap();
  return labels_in_now;
}

const LabelMap& DeviceSession::labels() {
  const Feedback* feedback = newest();
  if (labels_current_ || feedback == nullptr) return labels_;
  const FlowField* flow = options_.propagate_labels ? chain_.Find(feedback->frame) : nullptr;
  if (flow != nullptr) {
    WarpLabels(*feedback->labels, *flow, labels_);
  } else {
    labels_ = *feedback->labels;
  }
  labels_current_ = true;
  return labels_;
}

std::optional<int> DeviceSession::label_age() const {
  if (newest() == nullptr) return std::nullopt;
  return static_cast<int>(frame_.id - newest()->frame);
}

std::optional<FrameId> DeviceSession::label_source() const {
  if (newest() == nullptr) return std::nullopt;
  return newest()->frame;
}

LevelMap DeviceSession::LevelsInNow() const {
  const Feedback& feedback = *newest();
  const FlowField* flow = options_.propagate_levels ? chain_.Find(feedback.frame) : nullptr;
  return flow == nullptr ? feedback.levels : WarpLevels(feedback.levels, *flow, regions());
}

// `coded`: the current frame as it will be coded.
LevelMap DeviceSession::Refined(const LevelMap& levels, const Frame& coded) {
  const FlowField* flow =
      last_reconstruction_.empty() ? nullptr : chain_.Find(last_reconstruction_.id);
  if (flow == nullptr) return levels;
  // Motion-compensate the luma that the server holds; the refinement looks at nothing else. At a
  // reduced size both pictures are scaled up as the server does it, so that the residual has no
  // detail that is not coded anyway.
  const Frame held = EnlargeFrame(last_reconstruction_, full_size());
  LabelMap luma(options_.width, options_.height);
  for (int y = 0; y < luma.height(); ++y) {
    std::copy_n(held.y().Row(y), luma.width(), luma.Row(y).begin());
  }
  LabelMap predicted;
  WarpLabels(luma, *flow, predicted);
  Frame prediction(options_.width, options_.height, options_.color);
  for (int y = 0; y < predicted.height(); ++y) {
    std::copy_n(predicted.Row(y).begin(), predicted.width(),
                prediction.MutablePlane(0) + ptrdiff_t{prediction.y().stride} * y);
  }
  RefineOptions refine;
  refine.matrix = matrices_.inter_y4;
  last_refined_ = RefineForResidual(EnlargeFrame(coded, full_size()), prediction, levels,
                                    last_refined_.empty() ? nullptr : &last_refined_, regions(),
                                    planner_.ladder(), refine)
                      .levels;
  return last_refined_;
}

void DeviceSession::ExpireUnanswered() {
  for (const FrameId lost : schedule_.ExpireUnanswered(clock_->Now())) OnKeyframeLost(lost);
}

bool DeviceSession::KeyframeDue() {
  if (!connected_) return false;
  ExpireUnanswered();
  return schedule_.Due(frame_.pts, options_.fps);
}

std::optional<KeyframeJob> DeviceSession::PlanKeyframe(const Grid<float>* wanted_qp) {
  if (!KeyframeDue()) return std::nullopt;
  const Micros now = clock_->Now();
  Awaited awaited{.captured = frame_at_};
  KeyframeJob job;
  const Size size = coded_size();
  job.frame = ShrinkFrame(frame_, size);
  job.force_idr = std::exchange(need_idr_, false);
  job.held = newest() != nullptr && !job.force_idr ? newest()->frame : frame_.id;
  if (std::exchange(planned_size_, size) != size) job.force_idr = true;
  if (wanted_qp != nullptr) {
    job.qp = planner_.PlanWanted(job.frame, *wanted_qp);
  } else if (options_.encoder.mode == RateMode::kQpMap) {
    const double base_qp = configuration_.base_qp;
    const bool uniform = newest() == nullptr;
    if (!uniform) job.levels = LevelsInNow();
    awaited.levels = job.levels;
    awaited.base_qp = uniform ? base_qp : newest()->base_qp;
    if (!uniform && !job.force_idr && options_.refine_residual) {
      job.levels = Refined(job.levels, job.frame);
    }
    job.qp = planner_.Plan(job.frame, uniform ? nullptr : &job.levels, base_qp,
                           uniform ? base_qp : newest()->base_qp);
  }
  schedule_.OnPlanned(frame_.id, frame_.pts, now);
  awaited_[frame_.id] = std::move(awaited);
  chain_.AddAnchor(frame_.id, options_.width, options_.height, then_from_now_.step);
  return job;
}

Result<EncodedFrame> DeviceSession::Encode(const KeyframeJob& job) {
  const std::lock_guard guard(encoder_mutex_);
  const Size size{job.frame.width(), job.frame.height()};
  if (!encoder_ || Size{encoder_options_.width, encoder_options_.height} != size) {
    STAC_RETURN_IF_ERROR(OpenEncoder(size));
  }
  STAC_ASSIGN_OR_RETURN(
      EncodedFrame coded,
      encoder_->Encode(job.frame, job.qp.empty() ? nullptr : &job.qp, job.force_idr));
  if (coded.access_unit.size() > kMaxPayloadBytes) {
    return Fail(
        "{} bytes are more than the {} that a message may carry; choose a higher --qp, or "
        "--max-width",
        coded.access_unit.size(), kMaxPayloadBytes);
  }
  return coded;
}

CodedFrame DeviceSession::MakeMessage(const KeyframeJob& job, EncodedFrame coded) {
  CodedFrame message;
  message.frame = job.frame.id;
  message.capture_time = job.frame.pts;
  message.idr = coded.idr;
  message.access_unit = std::move(coded.access_unit);
  message.held = job.held;
  if (options_.hash_reconstruction) message.reconstruction_hash = HashPixels(coded.reconstruction);
  if (options_.refine_residual) {
    last_reconstruction_ = std::move(coded.reconstruction);
    last_reconstruction_.id = job.frame.id;
  }
  return message;
}

void DeviceSession::OnKeyframeLost(FrameId frame) {
  need_idr_ = true;
  Forget(frame);
}

void DeviceSession::Forget(FrameId frame) {
  schedule_.OnLost(frame);
  awaited_.erase(frame);
  if (newest() == nullptr || newest()->frame != frame) chain_.Drop(frame);
}

void DeviceSession::OnMessagesExpired() {
  need_idr_ = true;
  while (!awaited_.empty()) OnKeyframeLost(awaited_.begin()->first);
}

const DeviceSession::Feedback* DeviceSession::FindKnown(FrameId frame) const {
  const auto found = std::find_if(known_.begin(), known_.end(), [&](const Feedback& feedback) {
    return feedback.frame == frame;
  });
  return found == known_.end() ? nullptr : &*found;
}

DeviceSession::Feedback* DeviceSession::Arriving(FrameId frame) {
  if (newest() != nullptr && frame <= newest()->frame) return nullptr;  // older than what is held
  if (!Awaits(frame) || !chain_.Find(frame)) return nullptr;            // lost or unknown
  if (arriving_.frame != frame) arriving_ = Feedback{.frame = frame};
  return &arriving_;
}

void DeviceSession::AdoptArrivingIfComplete() {
  if (arriving_.labels == nullptr || arriving_.levels.empty()) return;
  known_.push_back(std::exchange(arriving_, {}));
  if (known_.size() > kKnownKept) known_.pop_front();
  chain_.DropBefore(known_.back().frame);
  labels_current_ = false;
}

// No new levels came for `frame`: those that it was planned with stay, as they were before eq. (7)
// changed them. Where the plan was not made from levels, the newest ones do.
Status DeviceSession::KeepLevels(FrameId frame, Feedback& feedback) const {
  const auto awaited = awaited_.find(frame);
  if (awaited != awaited_.end() && !awaited->second.levels.empty()) {
    feedback.levels = awaited->second.levels;
    feedback.base_qp = awaited->second.base_qp;
  } else if (newest() != nullptr) {
    feedback.levels = newest()->levels;
    feedback.base_qp = newest()->base_qp;
  } else {
    return Fail("the server sent no levels for frame {}, and there are none yet", frame);
  }
  feedback.levels_of_server = false;
  return OkStatus();
}

Status DeviceSession::OnLevels(const Levels& message) {
  Feedback* feedback = Arriving(message.frame);
  if (feedback == nullptr) return OkStatus();
  if (message.coded.empty()) {
    STAC_RETURN_IF_ERROR(KeepLevels(message.frame, *feedback));
    AdoptArrivingIfComplete();
    return OkStatus();
  }
  const Feedback* previous =
      message.previous == message.frame ? nullptr : FindKnown(message.previous);
  if (message.previous != message.frame && (previous == nullptr || !previous->levels_of_server)) {
    return Fail("levels of frame {} refer to frame {}, whose levels are not held", message.frame,
                message.previous);
  }
  const Stopwatch watch;
  STAC_ASSIGN_OR_RETURN(feedback->levels,
                        DecodeLevels(message.coded, regions().columns(), regions().rows(),
                                     profile_.level_count, previous ? &previous->levels : nullptr));
  feedback->base_qp = message.base_qp;
  feedback->bytes += message.coded.size();
  feedback->absorb_ms += watch.Milliseconds();
  AdoptArrivingIfComplete();
  return OkStatus();
}

Result<LabelMap> DecodeLabels(const LabelsJob& job) {
  return DecodeLabels(job.message.coded, job.width, job.height, job.previous.get());
}

Result<std::optional<LabelsJob>> DeviceSession::BeginLabels(Labels message) {
  if (Arriving(message.frame) == nullptr) return std::nullopt;
  LabelsJob job{.message = std::move(message), .width = options_.width, .height = options_.height};
  if (job.message.previous != job.message.frame) {
    const Feedback* previous = FindKnown(job.message.previous);
    if (previous == nullptr) {
      return Fail("labels of frame {} refer to frame {}, which is not held", job.message.frame,
                  job.message.previous);
    }
    job.previous = previous->labels;
  }
  return job;
}

Status DeviceSession::FinishLabels(const LabelsJob& job, Result<LabelMap> labels,
                                   double decode_ms) {
  Feedback* feedback = Arriving(job.message.frame);
  if (feedback == nullptr) return OkStatus();  // its keyframe was given up in the meantime
  if (!labels) return tl::unexpected<Error>(std::move(labels).error());
  feedback->labels = std::make_shared<const LabelMap>(std::move(*labels));
  feedback->bytes += job.message.coded.size();
  feedback->absorb_ms += decode_ms;
  AdoptArrivingIfComplete();
  return OkStatus();
}

Status DeviceSession::OnLabels(const Labels& message) {
  STAC_ASSIGN_OR_RETURN(const auto job, BeginLabels(message));
  if (!job) return OkStatus();
  const Stopwatch watch;
  auto labels = DecodeLabels(*job);
  return FinishLabels(*job, std::move(labels), watch.Milliseconds());
}

std::optional<FeedbackReport> DeviceSession::OnStats(const ServerStats& stats) {
  if (stats.max_keyframe_fps > 0) {
    max_keyframe_fps_ = stats.max_keyframe_fps;
    Configure(configuration_);
  }
  const auto awaited = awaited_.find(stats.frame);
  if (awaited == awaited_.end()) return std::nullopt;
  if (!stats.error.empty()) {
    need_idr_ |= stats.needs_idr();
    Forget(stats.frame);
    return FeedbackReport{.frame = stats.frame, .server = stats};
  }
  if (stats.dropped()) {
    schedule_.OnDropped(stats.frame);
    Forget(stats.frame);
    return FeedbackReport{.frame = stats.frame, .server = stats};
  }
  FeedbackReport report{.frame = stats.frame, .server = stats};
  report.latency_ms = static_cast<double>(clock_->Now() - awaited->second.captured) / 1000;
  if (const Feedback* feedback = FindKnown(stats.frame)) {
    report.bytes = feedback->bytes;
    report.absorb_ms = feedback->absorb_ms;
  }
  awaited_.erase(awaited_.begin(), std::next(awaited));
  schedule_.OnAnswered(stats.frame, clock_->Now(), stats.processing_ms);
  return report;
}

Result<std::optional<FeedbackReport>> DeviceSession::OnMessage(const Message& message) {
  if (const auto* levels = std::get_if<Levels>(&message)) {
    STAC_RETURN_IF_ERROR(OnLevels(*levels));
  } else if (const auto* labels = std::get_if<Labels>(&message)) {
    STAC_RETURN_IF_ERROR(OnLabels(*labels));
  } else if (const auto* stats = std::get_if<ServerStats>(&message)) {
    return OnStats(*stats);
  } else if (const auto* bye = std::get_if<Bye>(&message)) {
    OnDisconnected();
    return Fail("the server ended the session: {}", bye->reason);
  } else {
    return Fail("the server sent a message that only devices send");
  }
  return std::nullopt;
}

Result<std::optional<Message>> DeviceSession::MakeUpstreamLabels() {
  if (!options_.server_consumes || !connected_ || newest() == nullptr) return std::nullopt;
  const Feedback& anchor = *newest();
  if (!anchor.at_server) {
    PropagatedLabels message{.frame = frame_.id, .anchor = anchor.frame};
    STAC_ASSIGN_OR_RETURN(message.coded, EncodeLabels(labels()));
    STAC_RETURN_IF_ERROR(Validate(message));  // large maps may not fit a message
    return message;
  }
  const FlowField* flow = options_.propagate_labels ? chain_.Find(anchor.frame) : nullptr;
  const bool predict = sent_motion_ && sent_motion_->anchor == anchor.frame;
  const BlockMotion* previous = predict ? &sent_motion_->motion : nullptr;
  BlockMotion motion = flow == nullptr ? StillBlocks(options_.width, options_.height)
                                       : FitBlockMotion(*anchor.labels, labels(), *flow, previous,
                                                        MotionTolerance(configuration_.base_qp));
  PropagatedMotion message{.frame = frame_.id,
                           .anchor = anchor.frame,
                           .previous = predict ? sent_motion_->frame : frame_.id,
                           .coded = EncodeMotion(motion, previous)};
  sent_motion_ = {.frame = frame_.id, .anchor = anchor.frame, .motion = std::move(motion)};
  return message;
}

void DeviceSession::Configure(const Configuration& configuration) {
  configuration_ = configuration;
  const double wanted = configuration.keyframe_fps;
  const bool limited = max_keyframe_fps_ > 0 && (wanted <= 0 || wanted > max_keyframe_fps_);
  schedule_.SetRate(limited ? max_keyframe_fps_ : wanted);
}

}  // namespace stac
