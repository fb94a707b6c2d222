#include "stac/lab/session_options.h"

#include <algorithm>
#include <cmath>

namespace stac {
namespace {

bool IsJpeg(const SystemSpec& spec) {
  return spec.kind() == SystemKind::kJpeg || spec.kind() == SystemKind::kGrace ||
         spec.kind() == SystemKind::kGracePlus;
}

// x264's QP maps come without psychovisual decisions where nobody asks for them, x265's with.
std::string PsySettings(VideoCodec codec, bool psy) {
  if (codec == VideoCodec::kH264) return fmt::format("psy={}", psy ? 1 : 0);
  return psy ? "" : "psy-rd=0:psy-rdoq=0";
}

EncoderOptions EncoderOptionsOf(const SystemSpec& spec) {
  EncoderOptions options;
  if (IsJpeg(spec)) {
    options.mode = RateMode::kCrf;  // no QP map; the JPEG encoder ignores the rest
    return options;
  }
  options.preset = spec.Text("preset");
  options.chroma_qp_offset = spec.Integer("chroma_qp_offset");
  if (spec.Flag("intra")) options.keyint_max = 1;
  options.codec = *VideoCodecFromName(spec.Text("codec"));
  options.extra = PsySettings(options.codec, spec.Flag("psy"));
  if (PlansQp(spec)) return options;
  options.mode = spec.kind() == SystemKind::kH264Abr ? RateMode::kAbr : RateMode::kCrf;
  if (spec.kind() == SystemKind::kH264Abr) options.kbps = spec.Number("kbps");
  if (spec.kind() == SystemKind::kH264) options.crf = spec.Number("crf");
  if (spec.kind() == SystemKind::kCasva) options.crf = spec.Number("qp");
  options.aq_strength = spec.Number("aq");
  // Each encoder's own default: x265 adapts the strength to the picture.
  const int aq_mode = options.codec == VideoCodec::kH265 ? 2 : 1;
  options.aq_mode = options.aq_strength > 0 ? aq_mode : 0;
  return options;
}

}  // namespace

bool PlansQp(const SystemSpec& spec) {
  return spec.kind() == SystemKind::kStac || spec.kind() == SystemKind::kAccMpeg ||
         spec.kind() == SystemKind::kBoundary ||
         (spec.kind() == SystemKind::kCasva && spec.Text("rate") == "qp");
}

double FirstOffset(const SystemSpec& spec) {
  return spec.Has("first_offset") ? spec.Number("first_offset") : -3;
}

bool UsesLevels(const SystemSpec& spec) { return spec.kind() == SystemKind::kStac; }

bool DeviceNeedsLabels(const SystemSpec& spec) {
  return spec.Text("consumer") == "device" || spec.Flag("propagate");
}

double KeyframeRate(const SystemSpec& spec, double clip_fps) {
  const double wanted = spec.Number("fps");
  return wanted > 0 ? std::min(wanted, clip_fps) : clip_fps;
}

DeviceOptions DeviceOptionsOf(const SystemSpec& spec, const Frame& first_frame, double fps) {
  DeviceOptions options;
  options.name = spec.kind_name();
  options.width = first_frame.width();
  options.height = first_frame.height();
  options.fps = fps;
  options.color = first_frame.color();
  options.propagate_labels = spec.Flag("propagate");
  options.server_consumes = spec.Text("consumer") == "server" && options.propagate_labels;
  options.coarse_labels = options.server_consumes;
  options.propagate_levels = false;
  options.schedule.keyframe_fps = KeyframeRate(spec, fps);
  options.matrices = "flat";
  options.encoder = EncoderOptionsOf(spec);
  options.planner.aq_strength = 0;
  if (PlansQp(spec)) {
    if (spec.Has("matrices")) options.matrices = spec.Text("matrices");
    options.planner.aq_strength = spec.Number("aq");
  }
  if (spec.kind() == SystemKind::kStac) {
    options.propagate_levels = spec.Flag("propagate_levels");
    options.planner.region_size = spec.Integer("region");
    options.refine_residual = spec.Flag("refine");
    options.planner.middle_level_first = spec.Flag("middle_first");
    options.planner.first_frame_offset = 0;  // the setting first_offset is applied with the plan
  }
  return options;
}

ServerOptions ServerOptionsOf(const SystemSpec& spec, uint64_t seed) {
  ServerOptions options;
  options.objective.seed = seed;
  options.label_grid = 1;  // baselines: every pixel
  if (spec.kind() != SystemKind::kStac) return options;
  const std::string& objective = spec.Text("objective");
  options.objective.kind = objective == "loss"     ? ObjectiveKind::kFakeLabelLoss
                           : objective == "margin" ? ObjectiveKind::kMargin
                                                   : ObjectiveKind::kProjection;
  options.objective.projections = spec.Integer("projections");
  options.rule = spec.Text("rule") == "paper" ? AllocationRule::kPaper : AllocationRule::kPower;
  options.power = {.exponent = spec.Number("exponent"), .clip = spec.Number("clip")};
  options.label_grid = spec.Integer("label_grid");
  options.sensitivity.chroma_weight = spec.Number("chroma");
  options.gradient_every = spec.Integer("gradient_every");
  return options;
}

Configuration ConfigurationOf(const SystemSpec& spec) {
  Configuration configuration;
  if (PlansQp(spec)) configuration.base_qp = spec.Number("qp");
  configuration.keyframe_fps = spec.Number("fps");
  configuration.scale = spec.scale();
  return configuration;
}

Profile ProfileOf(const SystemSpec& spec, const Profile& network_profile) {
  Profile profile = network_profile;
  if (spec.kind() != SystemKind::kStac) return profile;
  profile.level_count = spec.Integer("levels");
  if (spec.Text("ladder") == "around") {
    const double before = profile.min_qp;
    profile.min_qp = std::clamp(spec.Number("qp") - spec.Number("clip"), 1.0, 50.0);
    profile.max_qp = std::clamp(spec.Number("qp") + spec.Number("clip"), profile.min_qp + 1, 51.0);
    // B of level 0 moves with its QP.
    profile.budget_of_level0 *= std::exp2((profile.min_qp - before) / 6);
  }
  return profile;
}

double QualityQp(const SystemSpec& spec) {
  switch (spec.kind()) {
    case SystemKind::kGrace:
    case SystemKind::kGracePlus:
      return 4 + 6 * std::log2(spec.Number("step"));  // H.264: a step of 1 is QP 4
    case SystemKind::kH264:
      return spec.Number("crf");
    case SystemKind::kH264Abr:
    case SystemKind::kJpeg:
      return std::nan("");
    default:
      return spec.Number("qp");
  }
}

DeviceSession::EncoderFactory EncoderOf(const SystemSpec& spec, const Profile& profile, double fps,
                                        const LabTools& tools) {
  if (spec.kind() == SystemKind::kJpeg) {
    return [&tools, quality = spec.Integer("quality")](const EncoderOptions&) {
      return MakeJpegStreamEncoder(StandardTables(quality), tools.jpeg);
    };
  }
  if (IsJpeg(spec)) {
    return [&tools, tables = GraceTables(profile.gradients, spec.Number("step"))](
               const EncoderOptions&) { return MakeJpegStreamEncoder(tables, tools.jpeg); };
  }
  // The encoder is told the rate at which it gets frames: rate control needs the truth.
  return [&tools, rate = KeyframeRate(spec, fps)](EncoderOptions options) {
    options.fps = rate;
    return tools.make_encoder(options);
  };
}

ServerSession::DecoderFactory DecoderOf(const SystemSpec& spec, ColorSpec color,
                                        const LabTools& tools) {
  if (!IsJpeg(spec)) return tools.make_decoder;
  return
      [&tools, color](const DecoderOptions&) { return MakeJpegStreamDecoder(color, tools.jpeg); };
}

}  // namespace stac
