#include "stac/lab/simulation/stream_system.h"

#include <algorithm>
#include <utility>

#include "stac/base/check.h"
#include "stac/lab/session_options.h"
#include "stac/lab/two_level_plan.h"
#include "stac/lab/workbench.h"
#include "stac/quant/level_ladder.h"

namespace stac {
namespace {

// GRACE with a B that changes from frame to frame.
class SteppedJpegEncoder final : public VideoEncoder {
 public:
  SteppedJpegEncoder(const FrequencyGradients& gradients, std::shared_ptr<const double> step,
                     const JpegFunctions& functions)
      : gradients_(gradients), step_(std::move(step)), functions_(functions) {}

  Result<EncodedFrame> Encode(const Frame& frame, const QpMap*, bool) override {
    EncodedFrame out{.id = frame.id, .idr = true};
    STAC_ASSIGN_OR_RETURN(out.access_unit,
                          functions_.encode(frame, GraceTables(gradients_, *step_)));
    return out;
  }
  Status SetBitrate(double) override { return Fail("JPEG streams have no rate control"); }
  std::string Describe() const override { return "JPEG with GRACE's tables"; }

 private:
  FrequencyGradients gradients_;
  std::shared_ptr<const double> step_;
  JpegFunctions functions_;
};

// As session_options.h has it, but whose labels are shown is the stream's affair.
DeviceOptions AdaptiveDeviceOptions(const SystemSpec& spec, const Frame& frame, double fps) {
  DeviceOptions options = DeviceOptionsOf(spec, frame, fps);
  options.propagate_labels = ShowsPropagatedLabels(spec);
  if (spec.kind() == SystemKind::kStac) {
    options.planner.first_frame_offset = spec.Number("first_offset");
  }
  return options;
}

}  // namespace

bool IsAdaptive(const SystemSpec& spec) {
  return spec.kind() == SystemKind::kStac || spec.kind() == SystemKind::kAccMpeg ||
         spec.kind() == SystemKind::kGracePlus ||
         (spec.kind() == SystemKind::kCasva && PlansQp(spec));
}

bool ShowsPropagatedLabels(const SystemSpec& spec) { return spec.Flag("propagate"); }

StreamSystem::StreamSystem(const SystemSpec& spec, const StreamInputs& inputs,
                           const LoopedClip& frames, const ManualClock* clock,
                           const LabTools& tools)
    : spec_(spec),
      in_(inputs),
      frames_(frames),
      jpeg_step_(std::make_shared<double>(16)),
      labels_only_(inputs.network) {
  STAC_CHECK(IsAdaptive(spec));
  STAC_CHECK(spec.kind() != SystemKind::kAccMpeg || inputs.importance != nullptr);
  const Profile profile = ProfileOf(spec, inputs.profile);
  DeviceSession::EncoderFactory encoders = tools.make_encoder;
  if (spec.kind() == SystemKind::kGracePlus) {
    encoders = [step = jpeg_step_, &tools, gradients = profile.gradients](
                   const EncoderOptions&) -> Result<std::unique_ptr<VideoEncoder>> {
      return std::make_unique<SteppedJpegEncoder>(gradients, step, tools.jpeg);
    };
  }
  const Frame frame = frames.At(0);
  const bool motion = ShowsPropagatedLabels(spec) || UsesLevels(spec);
  device_ = std::make_unique<DeviceSession>(AdaptiveDeviceOptions(spec, frame, inputs.clip.fps),
                                            motion ? frames.MakeFlow() : MakeZeroFlow(),
                                            std::move(encoders), clock);
  server_ = std::make_unique<ServerSession>(ServerOptionsOf(spec, inputs.seed), profile,
                                            inputs.network.info(),
                                            DecoderOf(spec, frame.color(), tools), clock);
}

StreamSystem::~StreamSystem() = default;

Status StreamSystem::Connect() {
  return device_->OnWelcome(server_->OnHello(device_->MakeHello()));
}

void StreamSystem::Configure(const ControlDecision& decision) {
  decision_ = decision;
  // GRACE's B as H.264's step of the same QP, as far as JPEG's tables go.
  *jpeg_step_ = std::clamp(StepOfQp(decision.base_qp), 1.0, 255.0);
  device_->Configure({.base_qp = decision.base_qp,
                      .keyframe_fps = decision.keyframe_fps,
                      .scale = decision.scale});
}

std::optional<Grid<float>> StreamSystem::WantedQp(const Frame& frame) const {
  if (spec_.kind() == SystemKind::kStac || spec_.kind() == SystemKind::kGracePlus) {
    return std::nullopt;
  }
  const Size coded = device_->coded_size();
  const RegionGrid grid{.frame_width = coded.width, .frame_height = coded.height};
  const int columns = grid.mb_columns(), rows = grid.mb_rows();
  const auto qp = static_cast<float>(decision_.base_qp);
  // A new size is a new stream.
  const float offset = coded != planned_size_ ? static_cast<float>(FirstOffset(spec_)) : 0.0f;
  Grid<float> wanted(columns, rows, qp + offset);
  if (spec_.kind() == SystemKind::kAccMpeg) {
    const FrameId assessed = frame.id - frame.id % spec_.Integer("every");
    const SensitivityMap importance =
        ResampleMap((*in_.importance)[frames_.ClipFrame(assessed)], columns, rows);
    const float fine = std::clamp(qp + offset, 1.0f, float{kMaxQp});  // what a spec may have
    wanted = AccMpegQp(importance, spec_.With({{"qp", fmt::format("{}", fine)}}).value());
  }
  return wanted;
}

std::optional<KeyframeJob> StreamSystem::Plan(const Frame& frame) {
  const std::optional<Grid<float>> wanted = WantedQp(frame);
  auto job = device_->PlanKeyframe(wanted ? &*wanted : nullptr);
  if (job) planned_size_ = device_->coded_size();
  return job;
}

Result<ServerAnswer> StreamSystem::Segment(const PendingFrame& pending) {
  if (UsesLevels(spec_)) return server_->Segment(pending, in_.network, 0);
  return server_->Segment(pending, labels_only_, 0);
}

}  // namespace stac
