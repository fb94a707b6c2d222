#include "stac/server/server_session.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "stac/base/check.h"
#include "stac/capture/frame_scale.h"
#include "stac/codec/label_coder.h"
#include "stac/codec/label_grid.h"
#include "stac/propagate/block_motion.h"
#include "stac/quant/budget.h"

namespace stac {
namespace {

// Answers kept as references for predictive coding: more than a device's window of unanswered
// keyframes.
constexpr size_t kSentKept = 8;

}  // namespace

ServerSession::ServerSession(ServerOptions options, Profile profile, NetworkInfo network,
                             DecoderFactory decoders, const Clock* clock)
    : options_(std::move(options)),
      profile_(std::move(profile)),
      network_(std::move(network)),
      decoders_(std::move(decoders)),
      clock_(clock) {
  STAC_CHECK_GE(options_.gradient_every, 1);
  if (options_.rule == AllocationRule::kPaper) {
    options_.objective.kind = ObjectiveKind::kFakeLabelLoss;
  }
  options_.objective.chroma = options_.sensitivity.chroma_weight > 0;
}

ServerSession::~ServerSession() = default;

Welcome ServerSession::OnHello(const Hello& hello) {
  Welcome welcome;
  welcome.network = network_.name;
  welcome.class_count = network_.class_count;
  welcome.max_keyframe_fps = options_.max_keyframe_fps;
  const auto refuse = [&](std::string reason) {
    welcome.reason = std::move(reason);
    return welcome;
  };
  if (hello.width > options_.max_width || hello.height > options_.max_height) {
    return refuse(
        fmt::format("frames of {}x{} are larger than the {}x{} accepted here; capture at "
                    "a smaller size",
                    hello.width, hello.height, options_.max_width, options_.max_height));
  }
  if (hello.region_size <= 0 || hello.region_size % kMacroblock != 0) {
    return refuse(fmt::format("region size {} is not a multiple of 16", hello.region_size));
  }
  if (!hello.profile_hash.empty() && hello.profile_hash != ProfileHash(profile_)) {
    return refuse(
        fmt::format("its profile {} is not the one of network {} here ({}); start the "
                    "device without a profile or calibrate again",
                    hello.profile_hash, network_.name, ProfileHash(profile_)));
  }
  auto decoder = decoders_(DecoderOptions{
      .codec = hello.codec, .max_width = options_.max_width, .max_height = options_.max_height});
  if (!decoder) return refuse(decoder.error().message);
  decoder_ = std::move(*decoder);
  hello_ = hello;
  regions_ = {
      .frame_width = hello.width, .frame_height = hello.height, .region_size = hello.region_size};
  if (options_.rule == AllocationRule::kPower) {
    options_.objective.sums = RegionSumsFor(regions_, options_.sensitivity);
  }
  welcome.accepted = true;
  welcome.profile_json = ToJson(profile_);
  if (const Status sendable = Validate(welcome); !sendable) {
    welcome.accepted = false;
    welcome.profile_json.clear();
    return refuse(sendable.error().message);
  }
  accepted_ = true;
  return welcome;
}

Result<std::vector<Message>> ServerSession::OnMessage(const Message& message) {
  if (!accepted_) return Fail("a message came before the hello was accepted");
  if (const auto* coded = std::get_if<CodedFrame>(&message)) return OnCodedFrame(*coded);
  if (const auto* configuration = std::get_if<Configuration>(&message)) {
    configuration_ = *configuration;
    return std::vector<Message>{};
  }
  const bool upstream = std::holds_alternative<PropagatedLabels>(message) ||
                        std::holds_alternative<PropagatedMotion>(message);
  if (upstream && !hello_.server_consumes) {
    return Fail("the device sent labels, which its hello did not announce");
  }
  if (const auto* labels = std::get_if<PropagatedLabels>(&message)) {
    STAC_RETURN_IF_ERROR(OnUpstreamLabels(*labels));
    return std::vector<Message>{};
  }
  if (const auto* motion = std::get_if<PropagatedMotion>(&message)) {
    STAC_RETURN_IF_ERROR(OnUpstreamMotion(*motion));
    return std::vector<Message>{};
  }
  if (std::holds_alternative<Bye>(message)) return std::vector<Message>{};
  return Fail("the device sent a message that only servers send");
}

Result<std::vector<Message>> ServerSession::OnCodedFrame(const CodedFrame& coded) {
  std::vector<Message> replies;
  const auto reject = [&](std::string reason) {
    need_idr_ = true;
    replies.emplace_back(ServerStats{.frame = coded.frame, .error = std::move(reason)});
    return replies;
  };
  const Micros arrived = clock_->Now();
  if (need_idr_ && !coded.idr) return reject("waiting for an IDR");
  Stopwatch watch;
  auto decoded = decoder_->Decode(coded.access_unit);
  if (!decoded) return reject(decoded.error().message);
  const Size full{hello_.width, hello_.height};
  if (!IsCodedSize(full, {decoded->frame.width(), decoded->frame.height()})) {
    return Fail(
        "frame {} is {}x{}; {}x{} was announced, so it may be that or down to a quarter "
        "of it, in proportion",
        coded.frame, decoded->frame.width(), decoded->frame.height(), full.width, full.height);
  }
  if (coded.reconstruction_hash != 0 && coded.reconstruction_hash != HashPixels(decoded->frame)) {
    return reject("the decoded picture differs from the encoder's reconstruction");
  }
  need_idr_ = false;
  // Here and not before the network, which has more to do.
  Frame frame = EnlargeFrame(decoded->frame, full);
  frame.id = coded.frame;
  frame.pts = coded.capture_time;
  pending_.push_back({.frame = std::move(frame),
                      .held = coded.held,
                      .configuration = configuration_,
                      .arrived = arrived,
                      .decode_ms = watch.Milliseconds(),
                      .video_bytes = coded.access_unit.size()});
  while (static_cast<int>(pending_.size()) > options_.max_waiting) {
    // Decoded, so references stay valid; answered without labels, so the device can go on.
    const PendingFrame& oldest = pending_.front();
    replies.emplace_back(
        ServerStats{.frame = oldest.frame.id,
                    .processing_ms = static_cast<double>(clock_->Now() - oldest.arrived) / 1000,
                    .decode_ms = oldest.decode_ms});
    pending_.pop_front();
  }
  return replies;
}

Status ServerSession::OnUpstreamLabels(const PropagatedLabels& labels) {
  STAC_ASSIGN_OR_RETURN(upstream_, DecodeLabels(labels.coded, hello_.width, hello_.height));
  upstream_frame_ = labels.frame;
  upstream_motion_.reset();
  return OkStatus();
}

Status ServerSession::OnUpstreamMotion(const PropagatedMotion& message) {
  const bool predicted = message.previous != message.frame;
  if (predicted && (!upstream_motion_ || upstream_anchor_ != message.anchor ||
                    upstream_frame_ != message.previous)) {
    return OkStatus();  // the next keyframe starts anew
  }
  STAC_ASSIGN_OR_RETURN(BlockMotion motion, DecodeMotion(message.coded, hello_.width, hello_.height,
                                                         predicted ? &*upstream_motion_ : nullptr));
  std::lock_guard guard(sent_mutex_);
  const auto anchor = sent_.find(message.anchor);
  if (anchor == sent_.end()) return OkStatus();
  MoveLabels(anchor->second.labels, motion, upstream_);
  upstream_motion_ = std::move(motion);
  upstream_anchor_ = message.anchor;
  upstream_frame_ = message.frame;
  return OkStatus();
}

std::optional<PendingFrame> ServerSession::TakePending() {
  if (pending_.empty()) return std::nullopt;
  PendingFrame next = std::move(pending_.front());
  pending_.pop_front();
  return next;
}

void ServerSession::ChooseLevels(const Segmentation& segmentation,
                                 const Configuration& configuration, ServerAnswer& answer) const {
  answer.sensitivity = RegionSensitivity(segmentation, regions_, options_.sensitivity);
  const LevelLadder ladder = profile_.ladder();
  if (options_.rule == AllocationRule::kPower) {
    answer.levels = PowerLevels(answer.sensitivity, configuration.base_qp, options_.power, ladder);
    return;
  }
  const int pixels = hello_.width * hello_.height;
  answer.levels =
      AlgorithmOne(TableWeights(segmentation.gradients.front(), profile_.gradients, regions_),
                   BudgetOfBaseQp(profile_, configuration.base_qp, regions_), pixels,
                   LevelBudgets(profile_, pixels));
}

const Objective* ServerSession::NextObjective(const PendingFrame& pending) {
  const bool holds_levels = pending.held != pending.frame.id;
  if (holds_levels && ++since_gradient_ < options_.gradient_every) return nullptr;
  since_gradient_ = 0;
  return &options_.objective;
}

Result<ServerAnswer> ServerSession::Segment(const PendingFrame& pending, Segmenter& segmenter,
                                            int queue) {
  const Objective* objective = NextObjective(pending);
  STAC_ASSIGN_OR_RETURN(Segmentation segmentation,
                        objective == nullptr
                            ? segmenter.Run(pending.frame)
                            : segmenter.RunWithGradient(pending.frame, *objective));
  return Answer(pending, std::move(segmentation), queue);
}

int ServerSession::LabelGrid(double base_qp) const {
  if (hello_.coarse_labels) return kMotionLabelGrid;
  return options_.label_grid > 0 ? options_.label_grid : LabelGridFor(base_qp);
}

Result<ServerAnswer> ServerSession::Answer(const PendingFrame& pending, Segmentation segmentation,
                                           int queue) {
  ServerAnswer answer;
  answer.labels = std::move(segmentation.labels);
  if (!segmentation.gradients.empty() || !segmentation.sums.empty()) {
    ChooseLevels(segmentation, pending.configuration, answer);
  }

  const FrameId id = pending.frame.id;
  const auto held = pending.held == id ? sent_.end() : sent_.find(pending.held);
  const bool predict = held != sent_.end();
  const FrameId previous = predict ? pending.held : id;
  Levels levels{.frame = id, .previous = id, .base_qp = pending.configuration.base_qp};
  if (!answer.levels.empty()) {
    const bool predict_levels = predict && !held->second.levels.empty();
    if (predict_levels) levels.previous = previous;
    levels.coded = EncodeLevels(answer.levels, predict_levels ? &held->second.levels : nullptr);
  }
  answer.messages.emplace_back(std::move(levels));
  const int grid = LabelGrid(pending.configuration.base_qp);
  STAC_ASSIGN_OR_RETURN(
      CodedLabels coded_labels,
      EncodeLabelsAtGrid(answer.labels, grid, predict ? &held->second.shown : nullptr));
  answer.messages.emplace_back(
      Labels{.frame = id, .previous = previous, .coded = std::move(coded_labels.bytes)});
  STAC_RETURN_IF_ERROR(Validate(answer.messages.back()));  // large maps may not fit a message
  answer.stats = {.frame = id,
                  .processing_ms = static_cast<double>(clock_->Now() - pending.arrived) / 1000,
                  .decode_ms = pending.decode_ms,
                  .forward_ms = std::max(segmentation.forward_ms, 1e-3),  // 0 would mean dropped
                  .gradient_ms = segmentation.gradient_ms,
                  .queue = queue};
  answer.messages.emplace_back(answer.stats);

  std::lock_guard guard(sent_mutex_);
  Sent& sent = sent_[id];
  sent = {.shown = std::move(coded_labels.shown), .levels = answer.levels};
  if (hello_.server_consumes) sent.labels = answer.labels;
  if (sent_.size() > kSentKept) sent_.erase(sent_.begin());
  return answer;
}

}  // namespace stac
