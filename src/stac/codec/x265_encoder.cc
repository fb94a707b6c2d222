#include <x265.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <string_view>
#include <vector>

#include "stac/base/check.h"
#include "stac/codec/encoder_options_internal.h"
#include "stac/codec/qp_plan.h"

#if defined(__SANITIZE_ADDRESS__)
// x265 3.5 forgets some 16 KB of every encoder when it closes it.
extern "C" const char* __lsan_default_suppressions() { return "leak:libx265"; }
#endif

namespace stac {
namespace {

// x265 takes the planned offsets only where adaptive quantization is on: so it is, too weak to
// matter. Coding units no larger than a macroblock keep the plan as it is; without them, or with
// sample adaptive offsets, which smooth, networks need more bits than with x264 (docs/results.md).
void SetQpMapMode(x265_param& param) {
  param.rc.aqMode = X265_AQ_VARIANCE;
  param.rc.aqStrength = 1e-6;
  param.rc.qgSize = kMacroblock;
  param.rc.qpMin = 0;
  param.rc.qpMax = kMaxQp;
  param.maxCUSize = kMacroblock;
  param.bEnableSAO = 0;
  param.bEnableStrongIntraSmoothing = 0;
  param.psyRd = 1;
}

template <typename Names>
bool IsOneOf(const std::string& name, const Names& names) {
  const auto end = std::end(names) - 1;  // the list ends with a null
  return std::find_if(std::begin(names), end, [&](const char* known) { return name == known; }) !=
         end;
}

Status CheckOptions(const EncoderOptions& options) {
  STAC_RETURN_IF_ERROR(CheckEncoderOptions(options));
  if (!IsOneOf(options.preset, x265_preset_names) ||
      (!options.tune.empty() && !IsOneOf(options.tune, x265_tune_names))) {
    return Fail("x265 has no preset '{}' or no tune '{}'; see x265 --fullhelp", options.preset,
                options.tune);
  }
  if (options.mode == RateMode::kAbr) {
    return Fail("H.265 is coded by QP maps or at a constant rate factor: use H.264 for a bitrate");
  }
  if (options.matrices && *options.matrices != FlatMatrices() &&
      *options.matrices != JvtMatrices()) {
    return Fail("H.265 has matrices of its own: use flat, or jvt for the standard's");
  }
  return OkStatus();
}

class X265Encoder final : public VideoEncoder {
 public:
  explicit X265Encoder(const EncoderOptions& options) : options_(options) {}
  X265Encoder(const X265Encoder&) = delete;
  X265Encoder& operator=(const X265Encoder&) = delete;
  ~X265Encoder() override {
    if (encoder_ != nullptr) x265_encoder_close(encoder_);
    if (param_ != nullptr) x265_param_free(param_);
  }

  Status Open() {
    STAC_RETURN_IF_ERROR(CheckOptions(options_));
    param_ = x265_param_alloc();
    if (param_ == nullptr) return Fail("out of memory for an encoder");
    STAC_RETURN_IF_ERROR(SetParameters());
    encoder_ = x265_encoder_open(param_);
    if (encoder_ == nullptr) return Fail("x265 refuses these settings: {}", Describe());
    x265_encoder_parameters(encoder_, param_);
    if (param_->bframes != 0 || param_->lookaheadDepth != 0 || param_->frameNumThreads != 1) {
      return Fail(
          "these x265 options hold frames back: leave out B-frames, lookahead and frame threads");
    }
    if (options_.mode == RateMode::kQpMap &&
        (param_->rc.rateControlMode != X265_RC_CRF || param_->rc.aqMode == X265_AQ_NONE ||
         param_->rc.cuTree != 0 || param_->rc.qgSize != kMacroblock ||
         param_->maxCUSize != kMacroblock)) {
      return Fail(
          "these x265 options override QP maps: leave out aq-mode, cutree, qp, qg-size and ctu");
    }
    return OkStatus();
  }

  Result<EncodedFrame> Encode(const Frame& frame, const QpMap* qp, bool force_idr) override {
    STAC_RETURN_IF_ERROR(CheckFrame(frame, options_));
    x265_picture in, out;
    x265_picture_init(param_, &in);
    x265_picture_init(param_, &out);
    in.sliceType = force_idr ? X265_TYPE_IDR : X265_TYPE_AUTO;
    in.pts = next_pts_++;
    in.bitDepth = 8;
    in.colorSpace = X265_CSP_I420;
    for (int i = 0; i < 3; ++i) {
      in.planes[i] = const_cast<uint8_t*>(frame.plane(i).data);
      in.stride[i] = frame.plane(i).stride;
    }
    EncodedFrame encoded;
    if (options_.mode == RateMode::kQpMap) {
      SetPlan(qp, in);
      encoded.mean_qp = MeanQp(*qp);
    } else {
      STAC_CHECK(qp == nullptr);
    }
    x265_nal* nals = nullptr;
    uint32_t nal_count = 0;
    if (x265_encoder_encode(encoder_, &nals, &nal_count, &in, &out) != 1) {
      return Fail("x265 could not encode frame {}", frame.id);
    }
    encoded.id = frame.id;
    encoded.idr = out.sliceType == X265_TYPE_IDR;
    if (options_.mode != RateMode::kQpMap) encoded.mean_qp = out.frameData.qp;
    for (uint32_t i = 0; i < nal_count; ++i) {
      if (nals[i].type == NAL_UNIT_PREFIX_SEI || nals[i].type == NAL_UNIT_SUFFIX_SEI) continue;
      encoded.access_unit.insert(encoded.access_unit.end(), nals[i].payload,
                                 nals[i].payload + nals[i].sizeBytes);
    }
    if (options_.want_reconstruction) encoded.reconstruction = Reconstruction(frame, out);
    return encoded;
  }

  Status SetBitrate(double) override {
    return Fail("the encoder has no bitrate to change: it was not opened in bitrate mode");
  }

  std::string Describe() const override {
    const x265_param& p = *param_;
    return fmt::format(
        "x265 {}, {} {}, {}: {}x{} at {} fps, {}, wavefront={} ref={} rd={} subme={} me={} ctu={} "
        "qg={} aq={}:{:g} psy-rd={:g} rdoq={} keyint={} chroma_qp_offset={} matrices={}{}{}",
        x265_version_str, options_.preset, options_.tune,
        options_.mode == RateMode::kQpMap ? "QP map" : fmt::format("CRF {:g}", options_.crf),
        options_.width, options_.height, options_.fps, ToString(options_.color), p.bEnableWavefront,
        p.maxNumReferences, p.rdLevel, p.subpelRefine, p.searchMethod, p.maxCUSize, p.rc.qgSize,
        p.rc.aqMode, p.rc.aqStrength, p.psyRd, p.rdoqLevel, p.keyframeMax,
        options_.chroma_qp_offset, p.scalingLists == nullptr ? "flat" : "standard",
        options_.extra.empty() ? "" : " extra ", options_.extra);
  }

 private:
  Status SetParameters() {
    const char* tune = options_.tune.empty() ? nullptr : options_.tune.c_str();
    if (x265_param_default_preset(param_, options_.preset.c_str(), tune) != 0) {
      return Fail("x265 has no preset '{}' with tune '{}'", options_.preset, options_.tune);
    }
    param_->logLevel = X265_LOG_NONE;
    param_->internalCsp = X265_CSP_I420;
    param_->sourceWidth = options_.width;
    param_->sourceHeight = options_.height;
    param_->fpsNum = static_cast<uint32_t>(std::lround(options_.fps * 1000));
    param_->fpsDenom = 1000;
    param_->bRepeatHeaders = 1;
    param_->bAnnexB = 1;
    param_->bEmitInfoSEI = 0;
    param_->bOpenGOP = 0;
    param_->keyframeMax = std::max(options_.keyint_max, 1);
    param_->scenecutThreshold = 0;
    SetColor();

    // No frame is held back, whatever the tune.
    param_->frameNumThreads = 1;
    param_->bframes = 0;
    param_->lookaheadDepth = 0;
    param_->rc.cuTree = 0;
    param_->bEnableWavefront = options_.threads > 1;
    pools_ = options_.threads > 1 ? fmt::format("{}", options_.threads) : "none";
    param_->numaPools = pools_.c_str();

    param_->cbQpOffset = options_.chroma_qp_offset;
    param_->crQpOffset = options_.chroma_qp_offset;
    if (options_.reference_frames > 0) param_->maxNumReferences = options_.reference_frames;
    if (options_.matrices == JvtMatrices()) param_->scalingLists = "default";

    param_->rc.rateControlMode = X265_RC_CRF;
    param_->rc.rfConstant = options_.crf;
    param_->rc.aqMode = options_.aq_mode;
    param_->rc.aqStrength = options_.aq_strength;
    if (options_.mode == RateMode::kQpMap) SetQpMapMode(*param_);
    for (const auto& [key, value] : ExtraSettings(options_)) {
      if (x265_param_parse(param_, key.c_str(), value.c_str()) != 0) {
        return Fail("x265 does not understand the option '{}={}'; see x265 --fullhelp", key, value);
      }
    }
    if (x265_param_apply_profile(param_, "main") != 0) {
      return Fail("these x265 options do not fit the Main profile");
    }
    return OkStatus();
  }

  void SetColor() {
    auto& vui = param_->vui;
    vui.bEnableVideoSignalTypePresentFlag = 1;
    vui.videoFormat = 5;  // unspecified
    vui.bEnableVideoFullRangeFlag = options_.color.range == ColorRange::kFull;
    vui.bEnableColorDescriptionPresentFlag = 1;
    const int code = ColorCode(options_.color);
    vui.colorPrimaries = code;
    vui.transferCharacteristics = code;
    vui.matrixCoeffs = code;
  }

  // Forces the slices' QP and fills the offsets from it; x265 copies them during the call.
  void SetPlan(const QpMap* qp, x265_picture& picture) {
    STAC_CHECK(qp != nullptr);
    STAC_CHECK_EQ(qp->width(), (options_.width + kMacroblock - 1) / kMacroblock);
    STAC_CHECK_EQ(qp->height(), (options_.height + kMacroblock - 1) / kMacroblock);
    const int anchor = AnchorQp(*qp);
    offsets_.resize(qp->size());
    for (size_t i = 0; i < qp->size(); ++i) offsets_[i] = static_cast<float>((*qp)[i] - anchor);
    picture.forceqp = anchor + 1;
    picture.quantOffsets = offsets_.data();
  }

  static Frame Reconstruction(const Frame& source, const x265_picture& picture) {
    PlaneView planes[3];
    for (int i = 0; i < 3; ++i) {
      planes[i] = source.plane(i);
      planes[i].data = static_cast<const uint8_t*>(picture.planes[i]);
      planes[i].stride = picture.stride[i];
    }
    Frame frame(source.width(), source.height(), source.color());
    frame.id = source.id;
    frame.pts = source.pts;
    for (int i = 0; i < 3; ++i) {
      for (int y = 0; y < planes[i].height; ++y) {
        std::copy_n(planes[i].Row(y), planes[i].width,
                    frame.MutablePlane(i) + ptrdiff_t{frame.plane(i).stride} * y);
      }
    }
    return frame;
  }

  const EncoderOptions options_;
  x265_param* param_ = nullptr;
  x265_encoder* encoder_ = nullptr;
  std::string pools_;  // x265 keeps a pointer to it
  std::vector<float> offsets_;
  int64_t next_pts_ = 0;
};

}  // namespace

Result<std::unique_ptr<VideoEncoder>> MakeX265Encoder(const EncoderOptions& options) {
  auto encoder = std::make_unique<X265Encoder>(options);
  STAC_RETURN_IF_ERROR(encoder->Open());
  return encoder;
}

}  // namespace stac
