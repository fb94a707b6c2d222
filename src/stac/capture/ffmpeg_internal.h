#pragma once

extern "C" {
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libswscale/swscale.h>
}

#include <memory>
#include <optional>
#include <string>

#include "stac/base/result.h"
#include "stac/capture/frame_scale.h"
#include "stac/video/frame.h"

namespace stac {

struct FfmpegDeleter {
  void operator()(AVFormatContext* p) const { avformat_close_input(&p); }
  void operator()(AVCodecContext* p) const { avcodec_free_context(&p); }
  void operator()(AVFrame* p) const { av_frame_free(&p); }
  void operator()(AVPacket* p) const { av_packet_free(&p); }
  void operator()(SwsContext* p) const { sws_freeContext(p); }
};
template <typename T>
using FfmpegPtr = std::unique_ptr<T, FfmpegDeleter>;

std::string FfmpegError(int code);

// Turns decoded pictures into frames of even size. All pictures must look like the first.
class PictureConverter {
 public:
  // `location` is for log lines and errors.
  static Result<PictureConverter> For(const AVFrame& first, const std::string& location);

  ColorSpec color() const { return color_; }
  Size size() const { return size_; }
  // Takes the picture's reference where it can be delivered without a copy. Id and time of the
  // result are left at 0.
  Result<Frame> Convert(AVFrame& picture);

 private:
  enum class Way { kWrap, kToYuv420, kToRgb };

  Way way_ = Way::kWrap;
  int format_ = 0;
  int coded_width_ = 0, coded_height_ = 0;
  int colorspace_ = 0, color_range_ = 0;  // AVCOL_SPC_*, AVCOL_RANGE_*, as they were signalled
  int sws_matrix_ = 0;                    // SWS_CS_*
  bool full_range_ = false;
  Size size_;
  ColorSpec color_;
  FfmpegPtr<SwsContext> scaler_;
};

}  // namespace stac
