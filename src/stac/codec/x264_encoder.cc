#include <stdint.h>
#include <x264.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <string_view>
#include <vector>

#include "stac/base/check.h"
#include "stac/base/log.h"
#include "stac/codec/encoder_options_internal.h"
#include "stac/codec/qp_plan.h"

namespace stac {
namespace {

constexpr std::string_view kMatricesOverflow = "Quantization overflow";
// No picture uses a finer QP when its matrices force the floor up this far.
constexpr int kHighestQpFloor = 24;

template <size_t count>
void CopyList(const std::array<uint8_t, count>& matrix, uint8_t (&list)[count]) {
  std::copy(matrix.begin(), matrix.end(), list);
}

void SetMatrices(const ScalingMatrices& matrices, x264_param_t& param) {
  param.i_cqm_preset = X264_CQM_CUSTOM;
  CopyList(matrices.intra_y4, param.cqm_4iy);
  CopyList(matrices.intra_c4, param.cqm_4ic);
  CopyList(matrices.inter_y4, param.cqm_4py);
  CopyList(matrices.inter_c4, param.cqm_4pc);
  CopyList(matrices.intra_y8, param.cqm_8iy);
  CopyList(matrices.inter_y8, param.cqm_8py);
  // Not in a 4:2:0 stream, but x264 prepares them.
  CopyList(matrices.intra_y8, param.cqm_8ic);
  CopyList(matrices.inter_y8, param.cqm_8pc);
}

void SetColor(const ColorSpec& color, x264_param_t& param) {
  const int code = ColorCode(color);
  param.vui.i_colmatrix = code;
  param.vui.i_colorprim = code;
  param.vui.i_transfer = code;
  param.vui.b_fullrange = color.range == ColorRange::kFull;
}

// x264 ignores quant_offsets in CQP and where adaptive quantization is off. So: CRF with adaptive
// quantization too weak to matter; the frame's QP is forced and the offsets carry the plan. QP
// refinement (subme 10) and psychovisual terms would move QPs or bits away from the plan.
void SetQpMapMode(x264_param_t& param) {
  param.rc.i_rc_method = X264_RC_CRF;
  param.rc.i_aq_mode = X264_AQ_VARIANCE;
  param.rc.f_aq_strength = 1e-6f;
  param.rc.b_mb_tree = 0;
  param.rc.i_qp_max = kMaxQp;
  param.analyse.b_psy = 0;
  param.analyse.i_subpel_refine = std::min(param.analyse.i_subpel_refine, 9);
  param.i_scenecut_threshold = 0;
}

Status SetRate(const EncoderOptions& options, double kbps, x264_param_t& param) {
  if (!(kbps >= 1 && kbps <= 1e6)) return Fail("a bitrate of {} kbps is not in 1..1000000", kbps);
  param.rc.i_bitrate = static_cast<int>(std::lround(kbps));
  if (options.vbv_seconds > 0) {
    param.rc.i_vbv_max_bitrate = param.rc.i_bitrate;
    param.rc.i_vbv_buffer_size =
        std::max(1, static_cast<int>(std::lround(kbps * options.vbv_seconds)));
  }
  return OkStatus();
}

Status ParseExtra(const EncoderOptions& options, x264_param_t& param) {
  for (const auto& [key, value] : ExtraSettings(options)) {
    if (x264_param_parse(&param, key.c_str(), value.c_str()) != 0) {
      return Fail("x264 does not understand the option '{}={}'; see x264 --fullhelp", key, value);
    }
  }
  return OkStatus();
}

// x264 prints what it thinks of unknown names, so they are sorted out before.
bool IsPreset(const std::string& name) {
  const char* const* end = std::end(x264_preset_names) - 1;
  return std::find(x264_preset_names, end, name) != end;
}
bool IsTune(std::string_view names) {
  const char* const* end = std::end(x264_tune_names) - 1;
  while (!names.empty()) {
    const size_t length = std::min(names.find_first_of(",./-+"), names.size());
    if (std::find(x264_tune_names, end, names.substr(0, length)) == end) return false;
    names.remove_prefix(std::min(length + 1, names.size()));
  }
  return true;
}

Status CheckOptions(const EncoderOptions& options) {
  STAC_RETURN_IF_ERROR(CheckEncoderOptions(options));
  if (!IsPreset(options.preset) || !IsTune(options.tune)) {
    return Fail("x264 has no preset '{}' or no tune '{}'; see x264 --help", options.preset,
                options.tune);
  }
  if (options.mode == RateMode::kQpMap && options.preset == "ultrafast") {
    return Fail("x264's preset ultrafast ignores QP maps: use superfast or slower");
  }
  if (options.matrices) {
    const ScalingMatrices& m = *options.matrices;
    for (const std::span<const uint8_t> list :
         {std::span<const uint8_t>(m.intra_y4), std::span<const uint8_t>(m.intra_c4),
          std::span<const uint8_t>(m.inter_y4), std::span<const uint8_t>(m.inter_c4),
          std::span<const uint8_t>(m.intra_y8), std::span<const uint8_t>(m.inter_y8)}) {
      if (std::count(list.begin(), list.end(), 0) > 0) {
        return Fail("a scaling matrix has an entry 0: entries must be 1..255");
      }
    }
  }
  return OkStatus();
}

class X264Encoder final : public VideoEncoder {
 public:
  explicit X264Encoder(const EncoderOptions& options) : options_(options) {}
  X264Encoder(const X264Encoder&) = delete;
  X264Encoder& operator=(const X264Encoder&) = delete;
  ~X264Encoder() override {
    if (encoder_ != nullptr) x264_encoder_close(encoder_);
    x264_param_cleanup(&param_);
  }

  Status Open() {
    x264_param_default(&param_);
    STAC_RETURN_IF_ERROR(CheckOptions(options_));
    STAC_RETURN_IF_ERROR(SetParameters());
    encoder_ = x264_encoder_open(&param_);
    // Small matrix entries overflow x264's 16-bit multipliers at the lowest QPs.
    while (encoder_ == nullptr && last_error_.starts_with(kMatricesOverflow) &&
           param_.rc.i_qp_min < kHighestQpFloor) {
      ++param_.rc.i_qp_min;
      last_error_.clear();
      encoder_ = x264_encoder_open(&param_);
    }
    if (encoder_ == nullptr) {
      return Fail("x264 refuses these settings: {}",
                  last_error_.empty() ? "no reason given" : last_error_);
    }
    if (x264_encoder_maximum_delayed_frames(encoder_) != 0) {
      return Fail(
          "these x264 options hold frames back: leave out B-frames, lookahead and frame threads");
    }
    x264_encoder_parameters(encoder_, &in_force_);
    if (options_.mode == RateMode::kQpMap &&
        (in_force_.rc.i_aq_mode == X264_AQ_NONE || in_force_.rc.f_aq_strength == 0 ||
         in_force_.rc.i_rc_method == X264_RC_CQP || in_force_.rc.b_mb_tree ||
         in_force_.analyse.i_subpel_refine > 9)) {
      return Fail(
          "these x264 options override QP maps: leave out aq-mode, mbtree, qp and subme > 9");
    }
    return OkStatus();
  }

  Result<EncodedFrame> Encode(const Frame& frame, const QpMap* qp, bool force_idr) override {
    STAC_RETURN_IF_ERROR(CheckFrame(frame, options_));
    x264_picture_t in;
    x264_picture_init(&in);
    in.i_type = force_idr ? X264_TYPE_IDR : X264_TYPE_AUTO;
    in.i_pts = next_pts_++;
    in.img.i_csp = X264_CSP_I420;
    in.img.i_plane = 3;
    for (int i = 0; i < 3; ++i) {
      in.img.plane[i] = const_cast<uint8_t*>(frame.plane(i).data);
      in.img.i_stride[i] = frame.plane(i).stride;
    }
    EncodedFrame encoded;
    if (options_.mode == RateMode::kQpMap) {
      STAC_RETURN_IF_ERROR(SetPlan(qp, in));
      encoded.mean_qp = MeanQp(*qp);
    } else {
      STAC_CHECK(qp == nullptr);
    }

    x264_nal_t* nals = nullptr;
    int nal_count = 0;
    x264_picture_t out;
    const int size = x264_encoder_encode(encoder_, &nals, &nal_count, &in, &out);
    if (size <= 0) {
      return Fail("x264 could not encode frame {}: {}", frame.id,
                  last_error_.empty() ? "no reason given" : last_error_);
    }
    encoded.id = frame.id;
    encoded.idr = out.i_type == X264_TYPE_IDR;
    if (options_.mode != RateMode::kQpMap) encoded.mean_qp = out.i_qpplus1 - 1;
    encoded.access_unit.reserve(static_cast<size_t>(size));
    for (int i = 0; i < nal_count; ++i) {
      if (nals[i].i_type == NAL_SEI && IsUserData(nals[i])) continue;
      encoded.access_unit.insert(encoded.access_unit.end(), nals[i].p_payload,
                                 nals[i].p_payload + nals[i].i_payload);
    }
    if (options_.want_reconstruction) encoded.reconstruction = Reconstruction(frame, out.img);
    return encoded;
  }

  Status SetBitrate(double kbps) override {
    if (options_.mode != RateMode::kAbr) {
      return Fail("the encoder has no bitrate to change: it was not opened in bitrate mode");
    }
    if (options_.vbv_seconds <= 0)
      return Fail("x264 changes its bitrate only with a buffer: open the encoder with vbv_seconds");
    STAC_RETURN_IF_ERROR(SetRate(options_, kbps, param_));
    if (x264_encoder_reconfig(encoder_, &param_) != 0) {
      return Fail("x264 refuses to change its bitrate to {} kbps: {}", kbps, last_error_);
    }
    return OkStatus();
  }

  std::string Describe() const override {
    const auto& a = in_force_.analyse;
    const char* const modes[] = {"QP map", "CRF", "ABR"};
    return fmt::format(
        "x264 {}, {} {}, {}{}: {}x{} at {} fps, {}, threads={} ref={} subme={} trellis={} me={} "
        "8x8dct={} weightp={} deblock={} cabac={} aq={}:{:g} psy={} mbtree={} scenecut={} "
        "keyint={} qpmin={} chroma_qp_offset={} matrices={}{}{}",
        X264_POINTVER, options_.preset, options_.tune, modes[static_cast<int>(options_.mode)],
        options_.mode == RateMode::kCrf   ? fmt::format(" {:g}", options_.crf)
        : options_.mode == RateMode::kAbr ? fmt::format(" {} kbps", param_.rc.i_bitrate)
                                          : "",
        options_.width, options_.height, options_.fps, ToString(options_.color),
        in_force_.i_threads, in_force_.i_frame_reference, a.i_subpel_refine, a.i_trellis,
        x264_motion_est_names[a.i_me_method], a.b_transform_8x8, a.i_weighted_pred,
        in_force_.b_deblocking_filter, in_force_.b_cabac, in_force_.rc.i_aq_mode,
        in_force_.rc.f_aq_strength, a.b_psy, in_force_.rc.b_mb_tree, in_force_.i_scenecut_threshold,
        in_force_.i_keyint_max, in_force_.rc.i_qp_min, options_.chroma_qp_offset,
        !options_.matrices                     ? "flat"
        : *options_.matrices == JvtMatrices()  ? "jvt"
        : *options_.matrices == FlatMatrices() ? "flat"
                                               : "custom",
        options_.extra.empty() ? "" : " extra ", options_.extra);
  }

 private:
  Status SetParameters() {
    const char* tune = options_.tune.empty() ? nullptr : options_.tune.c_str();
    if (x264_param_default_preset(&param_, options_.preset.c_str(), tune) != 0) {
      return Fail("x264 has no preset '{}' with tune '{}'; see x264 --help", options_.preset,
                  options_.tune);
    }
    param_.pf_log = &X264Encoder::Log;
    param_.p_log_private = this;
    param_.i_log_level = X264_LOG_WARNING;
    param_.i_csp = X264_CSP_I420;
    param_.i_width = options_.width;
    param_.i_height = options_.height;
    param_.i_fps_num = static_cast<uint32_t>(std::lround(options_.fps * 1000));
    param_.i_fps_den = 1000;
    param_.b_vfr_input = 0;
    param_.b_repeat_headers = 1;
    param_.b_annexb = 1;
    param_.i_keyint_max = std::clamp(options_.keyint_max, 1, X264_KEYINT_MAX_INFINITE);
    SetColor(options_.color, param_);

    // No frame is held back, whatever the tune.
    param_.i_threads = options_.threads;
    param_.b_sliced_threads = options_.threads > 1;
    param_.i_lookahead_threads = 1;
    param_.i_sync_lookahead = 0;
    param_.i_bframe = 0;
    param_.rc.i_lookahead = 0;
    param_.rc.b_mb_tree = 0;

    param_.b_full_recon = options_.want_reconstruction;
    param_.analyse.i_chroma_qp_offset = options_.chroma_qp_offset;
    param_.rc.i_qp_min = 0;
    if (options_.reference_frames > 0) param_.i_frame_reference = options_.reference_frames;
    if (options_.matrices) SetMatrices(*options_.matrices, param_);

    switch (options_.mode) {
      case RateMode::kQpMap:
        SetQpMapMode(param_);
        break;
      case RateMode::kCrf:
        param_.rc.i_rc_method = X264_RC_CRF;
        param_.rc.f_rf_constant = static_cast<float>(options_.crf);
        break;
      case RateMode::kAbr:
        param_.rc.i_rc_method = X264_RC_ABR;
        STAC_RETURN_IF_ERROR(SetRate(options_, options_.kbps, param_));
        break;
    }
    if (options_.mode != RateMode::kQpMap) {
      param_.rc.i_aq_mode = options_.aq_mode;
      param_.rc.f_aq_strength = static_cast<float>(options_.aq_strength);
    }
    STAC_RETURN_IF_ERROR(ParseExtra(options_, param_));
    if (x264_param_apply_profile(&param_, "high") != 0) {
      return Fail("these x264 options do not fit the High profile: {}", last_error_);
    }
    return OkStatus();
  }

  // Forces the frame's QP and fills the offsets from it. x264 reads them during the call only.
  Status SetPlan(const QpMap* qp, x264_picture_t& picture) {
    STAC_CHECK(qp != nullptr);
    STAC_CHECK_EQ(qp->width(), (options_.width + kMacroblock - 1) / kMacroblock);
    STAC_CHECK_EQ(qp->height(), (options_.height + kMacroblock - 1) / kMacroblock);
    const int anchor = AnchorQp(*qp);
    offsets_.resize(qp->size());
    for (size_t i = 0; i < qp->size(); ++i) {
      const int value = (*qp)[i];
      STAC_CHECK((value ^ anchor) % 2 == 0 && value <= kMaxQp);
      if (value < in_force_.rc.i_qp_min) {
        return Fail("QP {} is below {}, the lowest that these scaling matrices allow", value,
                    in_force_.rc.i_qp_min);
      }
      offsets_[i] = static_cast<float>(value - anchor);
    }
    picture.i_qpplus1 = anchor + 1;
    picture.prop.quant_offsets = offsets_.data();
    picture.prop.quant_offsets_free = nullptr;
    return OkStatus();
  }

  // x264 signs its first access unit with 700 bytes of text (payload type 5).
  static bool IsUserData(const x264_nal_t& nal) {
    const int start_code = nal.b_long_startcode ? 4 : 3;
    return nal.i_payload > start_code + 1 && nal.p_payload[start_code + 1] == 5;
  }

  // x264 keeps its reconstruction as NV12 in memory that the next call reuses.
  static Frame Reconstruction(const Frame& source, const x264_image_t& image) {
    Frame frame(source.width(), source.height(), source.color());
    frame.id = source.id;
    frame.pts = source.pts;
    for (int y = 0; y < frame.height(); ++y) {
      std::memcpy(frame.MutablePlane(0) + static_cast<ptrdiff_t>(y) * frame.y().stride,
                  image.plane[0] + static_cast<ptrdiff_t>(y) * image.i_stride[0], frame.width());
    }
    for (int y = 0; y < frame.height() / 2; ++y) {
      const uint8_t* both = image.plane[1] + static_cast<ptrdiff_t>(y) * image.i_stride[1];
      uint8_t* cb = frame.MutablePlane(1) + static_cast<ptrdiff_t>(y) * frame.plane(1).stride;
      uint8_t* cr = frame.MutablePlane(2) + static_cast<ptrdiff_t>(y) * frame.plane(2).stride;
      for (int x = 0; x < frame.width() / 2; ++x) {
        cb[x] = both[2 * x];
        cr[x] = both[2 * x + 1];
      }
    }
    return frame;
  }

  static void Log(void* self, int level, const char* format, va_list arguments) {
    char text[512];
    std::vsnprintf(text, sizeof(text), format, arguments);
    std::string_view line(text);
    while (line.ends_with('\n')) line.remove_suffix(1);
    if (level == X264_LOG_ERROR) static_cast<X264Encoder*>(self)->last_error_ = line;
    spdlog::debug("x264: {}", line);
  }

  const EncoderOptions options_;
  x264_param_t param_;
  x264_param_t in_force_;
  x264_t* encoder_ = nullptr;
  std::vector<float> offsets_;
  int64_t next_pts_ = 0;
  std::string last_error_;
};

}  // namespace

Result<std::unique_ptr<VideoEncoder>> MakeX264Encoder(const EncoderOptions& options) {
  auto encoder = std::make_unique<X264Encoder>(options);
  STAC_RETURN_IF_ERROR(encoder->Open());
  return encoder;
}

}  // namespace stac
