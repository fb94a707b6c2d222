#include "stac/lab/operating_point.h"

#include <fmt/format.h>

#include <optional>

#include "stac/base/check.h"
#include "stac/capture/frame_scale.h"
#include "stac/lab/label_mapping.h"
#include "stac/lab/segment_meter.h"
#include "stac/lab/segmenter_wrappers.h"
#include "stac/lab/session_options.h"
#include "stac/lab/two_level_plan.h"
#include "stac/video/accuracy.h"

namespace stac {
namespace {

// What has gone over the wire, in bytes.
struct Traffic {
  size_t video = 0;
  size_t upstream_labels = 0;
  size_t levels = 0;
  size_t feedback = 0;  // levels included
};

class Loop {
 public:
  Loop(const SystemSpec& spec, const PointInputs& in, const LabTools& tools)
      : spec_(spec),
        in_(in),
        profile_(ProfileOf(spec, in.profile)),
        labels_only_(in.network),
        device_(DeviceOptionsOf(spec, in.clip.frames.front(), in.clip.fps),
                NeedsMotion() ? MakeStoredFlow(in.motion) : MakeZeroFlow(),
                EncoderOf(spec, profile_, in.clip.fps, tools), &clock_),
        server_(ServerOptionsOf(spec, in.seed), profile_, in.network.info(),
                DecoderOf(spec, in.clip.frames.front().color(), tools), &clock_),
        scores_(in.network.info().class_count) {
    if (in.per_second) segments_.emplace(in.clip, in.network.info().class_count);
  }

  Status Connect() {
    Configuration configuration = ConfigurationOf(spec_);
    configuration.keyframe_fps = KeyframeRate(spec_, in_.clip.fps);
    device_.Configure(configuration);
    STAC_RETURN_IF_ERROR(device_.OnWelcome(server_.OnHello(device_.MakeHello())));
    STAC_RETURN_IF_ERROR(server_.OnMessage(configuration));
    if (!in_.clip.human.empty()) {
      STAC_ASSIGN_OR_RETURN(mapping_,
                            LabelMapping::Make(in_.clip.human, in_.network.info().class_count));
      human_scores_.emplace(mapping_->class_count());
    }
    return OkStatus();
  }

  Status OnFrame(const Frame& frame) {
    clock_.AdvanceTo(frame.pts);
    device_.OnFrame(frame);
    std::optional<Grid<float>> wanted = WantedQp(frame);
    if (const auto job = device_.PlanKeyframe(wanted ? &*wanted : nullptr)) {
      STAC_RETURN_IF_ERROR(SendKeyframe(*job));
    } else {
      STAC_RETURN_IF_ERROR(SendUpstreamLabels());
    }
    Score(frame.id);
    return OkStatus();
  }

  ResultRow Finish() const {
    const double kilobits_per_byte = 8e-3 / in_.clip.seconds();
    ResultRow row;
    row.frames = static_cast<int>(in_.clip.frames.size());
    row.keyframes = keyframes_;
    row.fps_key = keyframes_ / in_.clip.seconds();
    row.scale = spec_.scale();
    row.mean_qp = keyframes_ > 0 ? qp_sum_ / keyframes_ : ResultRow::kNone;
    row.video_kbps = traffic_.video * kilobits_per_byte;
    row.label_kbps = traffic_.upstream_labels * kilobits_per_byte;
    row.level_kbps = traffic_.levels * kilobits_per_byte;
    row.feedback_kbps = traffic_.feedback * kilobits_per_byte;
    row.total_kbps = row.video_kbps + row.label_kbps + row.feedback_kbps;
    row.pa = scores_.PixelAccuracy();
    row.miou = scores_.MeanIou();
    if (human_scores_) {
      row.pa_human = human_scores_->PixelAccuracy();
      row.miou_human = human_scores_->MeanIou();
    }
    row.encode_s = encode_ms_ / 1000;
    row.decode_s = decode_ms_ / 1000;
    row.network_s = network_ms_ / 1000;
    if (segments_) {
      row.segments = segments_->rows();
      for (SegmentRow& segment : row.segments) {
        segment.configuration = {QualityQp(spec_), KeyframeRate(spec_, in_.clip.fps),
                                 spec_.scale()};
      }
    }
    return row;
  }

 private:
  bool NeedsMotion() const {
    return spec_.Flag("propagate") || (UsesLevels(spec_) && spec_.Flag("propagate_levels"));
  }

  Segmenter& network() { return UsesLevels(spec_) ? in_.network : labels_only_; }

  // QPs that replace the session's own plan: all of a baseline's, and those of our first frame
  // where another quality is wanted for it.
  std::optional<Grid<float>> WantedQp(const Frame& frame) const {
    if (!PlansQp(spec_)) return std::nullopt;
    const Size coded = device_.coded_size();
    const double first_offset = frame.id == 0 ? FirstOffset(spec_) : 0;
    std::optional<Grid<float>> wanted;
    if (spec_.kind() == SystemKind::kAccMpeg) {
      const FrameId assessed = frame.id - frame.id % spec_.Integer("every");
      wanted = AccMpegQp((*in_.importance)[assessed], spec_);
    } else if (spec_.kind() == SystemKind::kBoundary) {
      wanted = BoundaryQp(ShrinkLabels(in_.reference[frame.id], coded), spec_);
    } else if (first_offset != 0 || spec_.kind() == SystemKind::kCasva) {
      const RegionGrid grid{.frame_width = coded.width, .frame_height = coded.height};
      wanted.emplace(grid.mb_columns(), grid.mb_rows(), static_cast<float>(spec_.Number("qp")));
    }
    if (wanted) {
      for (float& qp : *wanted) qp += static_cast<float>(first_offset);
    }
    return wanted;
  }

  Status SendKeyframe(const KeyframeJob& job) {
    Stopwatch watch;
    STAC_ASSIGN_OR_RETURN(EncodedFrame coded, device_.Encode(job));
    encode_ms_ += watch.Milliseconds();
    qp_sum_ += coded.mean_qp;
    ++keyframes_;
    const Bytes wire = Serialize(device_.MakeMessage(job, std::move(coded)));
    traffic_.video += wire.size();
    STAC_ASSIGN_OR_RETURN(const Message arrived, Parse(wire));
    STAC_ASSIGN_OR_RETURN(const auto at_once, server_.OnMessage(arrived));
    for (const Message& message : at_once) {
      const auto* stats = std::get_if<ServerStats>(&message);
      if (stats != nullptr && !stats->error.empty()) {
        return Fail("frame {} did not decode: {}", job.frame.id, stats->error);
      }
    }
    const auto pending = server_.TakePending();
    if (!pending) return Fail("frame {} was coded but did not reach the network", job.frame.id);
    STAC_ASSIGN_OR_RETURN(const ServerAnswer answer, server_.Segment(*pending, network(), 0));
    decode_ms_ += answer.stats.decode_ms;
    network_ms_ += answer.stats.forward_ms + answer.stats.gradient_ms;
    if (spec_.Text("consumer") == "server") server_labels_ = answer.labels;
    return Deliver(answer);
  }

  Status Deliver(const ServerAnswer& answer) {
    for (const Message& message : answer.messages) {
      const Bytes wire = Serialize(message);
      STAC_ASSIGN_OR_RETURN(const Message arrived, Parse(wire));
      STAC_RETURN_IF_ERROR(device_.OnMessage(arrived));
      // Baselines have no levels, and a consumer at the server has the labels already: the
      // session needs these messages to go on, the system would not send them.
      if (std::holds_alternative<Levels>(message)) {
        if (!UsesLevels(spec_)) continue;
        traffic_.levels += wire.size();
      }
      if (std::holds_alternative<Labels>(message) && !DeviceNeedsLabels(spec_)) continue;
      traffic_.feedback += wire.size();
    }
    return OkStatus();
  }

  // The consumer at the server gets every frame's labels: those of keyframes it has, others it
  // finds from what the device says about their motion.
  Status SendUpstreamLabels() {
    STAC_ASSIGN_OR_RETURN(const auto labels, device_.MakeUpstreamLabels());
    if (!labels) return OkStatus();
    const Bytes wire = Serialize(*labels);
    traffic_.upstream_labels += wire.size();
    STAC_ASSIGN_OR_RETURN(const Message arrived, Parse(wire));
    STAC_RETURN_IF_ERROR(server_.OnMessage(arrived));
    return OkStatus();
  }

  // The labels that the consumer has of this frame.
  const LabelMap& Shown(FrameId id) {
    if (spec_.Text("consumer") != "server") return device_.labels();
    const LabelMap* moved = server_.upstream_labels();
    return moved != nullptr && server_.upstream_frame() == id ? *moved : server_labels_;
  }

  void Score(FrameId id) {
    const LabelMap& shown = Shown(id);
    scores_.Add(in_.reference[id], shown);
    if (segments_) {
      segments_->Add(id, in_.reference[id], shown, traffic_.video + traffic_.upstream_labels,
                     traffic_.feedback);
    }
    if (!human_scores_) return;
    human_scores_->Add(mapping_->FromHuman(in_.clip.human_labels[id]),
                       mapping_->FromNetwork(shown));
  }

  const SystemSpec& spec_;
  const PointInputs& in_;
  Profile profile_;
  ManualClock clock_;
  LabelsOnlySegmenter labels_only_;
  DeviceSession device_;
  ServerSession server_;
  LabelMap server_labels_;  // of the last keyframe, where the consumer is the server
  ConfusionMatrix scores_;
  std::optional<SegmentMeter> segments_;
  std::optional<LabelMapping> mapping_;
  std::optional<ConfusionMatrix> human_scores_;
  Traffic traffic_;
  int keyframes_ = 0;
  double qp_sum_ = 0;
  double encode_ms_ = 0, decode_ms_ = 0, network_ms_ = 0;
};

}  // namespace

Result<ResultRow> RunPoint(const SystemSpec& spec, const PointInputs& inputs,
                           const LabTools& tools) {
  STAC_CHECK(inputs.reference.size() == inputs.clip.frames.size());
  STAC_CHECK(spec.kind() != SystemKind::kAccMpeg || inputs.importance != nullptr);
  Loop loop(spec, inputs, tools);
  STAC_RETURN_IF_ERROR(loop.Connect());
  for (const Frame& frame : inputs.clip.frames) STAC_RETURN_IF_ERROR(loop.OnFrame(frame));
  return loop.Finish();
}

}  // namespace stac
