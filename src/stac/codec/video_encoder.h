#pragma once

#include <array>
#include <memory>
#include <optional>
#include <string>

#include "stac/base/bytes.h"
#include "stac/base/result.h"
#include "stac/video/frame.h"
#include "stac/video/maps.h"
#include "stac/video/video_codec.h"

namespace stac {

// H.264 scaling matrices: entries 1..255, 16 = flat, in raster order (row = vertical frequency).
// Cb and Cr share lists.
struct ScalingMatrices {
  std::array<uint8_t, 16> intra_y4, intra_c4, inter_y4, inter_c4;
  std::array<uint8_t, 64> intra_y8, inter_y8;
  friend bool operator==(const ScalingMatrices&, const ScalingMatrices&) = default;
};
ScalingMatrices FlatMatrices();
ScalingMatrices JvtMatrices();  // the standard's default lists (H.264 tables 7-3, 7-4)

enum class RateMode {
  kQpMap,  // every macroblock's QP is given by the caller; adaptive quantization off
  kCrf,    // x264's constant rate factor, with its own adaptive quantization
  kAbr,    // x264's average bitrate, with its own adaptive quantization (H.264 only)
};

struct EncoderOptions {
  VideoCodec codec = VideoCodec::kH264;
  int width = 0;
  int height = 0;
  double fps = 15;
  ColorSpec color;
  RateMode mode = RateMode::kQpMap;
  std::string preset = "medium";
  std::string tune = "zerolatency";  // 0 frames of delay; no B-frames, no frame threads
  int threads = 1;                   // > 1: sliced threads (H.264), wavefronts (H.265)
  double crf = 23;                   // kCrf
  double kbps = 1000;                // kAbr
  double vbv_seconds = 0;            // kAbr: buffer length, 0 = none
  int aq_mode = 1;                   // kCrf, kAbr; 0 = off
  double aq_strength = 1.0;
  int keyint_max = 1 << 20;                 // IDR only where asked for
  std::optional<ScalingMatrices> matrices;  // none: flat; H.265 takes flat and JvtMatrices only
  int chroma_qp_offset = 0;                 // -12..12
  int reference_frames = 0;                 // 0: the preset's
  // "key=value:key=value" passed to the encoder's own parser last, for experiments. What would hold
  // frames back or override the QP map is refused.
  std::string extra;
  bool want_reconstruction = false;  // fill EncodedFrame::reconstruction
};

struct EncodedFrame {
  FrameId id = 0;
  Bytes access_unit;  // Annex B; parameter sets precede every IDR
  bool idr = false;
  double mean_qp = 0;    // of the planned map in kQpMap, else x264's frame QP
  Frame reconstruction;  // empty unless asked for
};

// One stream. Not thread-safe; one call, one access unit: nothing is held back.
class VideoEncoder {
 public:
  virtual ~VideoEncoder() = default;
  // `qp`: one entry per macroblock (kQpMap only, required there; null otherwise). QPs of one frame
  // must all have the same parity, because x264 reuses the QP of the macroblock before when the two
  // differ by one; use SnapToParity (qp_plan.h). The slices start at AnchorQp(*qp). Fails on a
  // frame of another size or colour, and on a QP below what the scaling matrices allow (entries of
  // 7 and more allow every QP, JvtMatrices 1 and up).
  virtual Result<EncodedFrame> Encode(const Frame& frame, const QpMap* qp, bool force_idr) = 0;
  // kAbr with vbv_seconds > 0: changes the target while running.
  virtual Status SetBitrate(double kbps) = 0;
  // x264 version and parameters in force, one line.
  virtual std::string Describe() const = 0;
};

// H.264 High profile, 4:2:0, progressive. kQpMap needs a preset slower than ultrafast.
Result<std::unique_ptr<VideoEncoder>> MakeX264Encoder(const EncoderOptions& options);
// H.265 Main profile, 4:2:0, progressive; JvtMatrices stands for that standard's own lists. The QP
// map need not be of one parity.
Result<std::unique_ptr<VideoEncoder>> MakeX265Encoder(const EncoderOptions& options);

}  // namespace stac
