extern "C" {
#include <libavutil/pixdesc.h>
}

#include "stac/base/log.h"
#include "stac/capture/ffmpeg_internal.h"
#include "stac/capture/image_io.h"

namespace stac {
namespace {

constexpr int kLargestSide = 16384;
constexpr int kSmallestSide = 16;

bool IsYuv420(int format) { return format == AV_PIX_FMT_YUV420P || format == AV_PIX_FMT_YUVJ420P; }

bool IsFullRangeFormat(int format) {
  return format == AV_PIX_FMT_YUVJ420P || format == AV_PIX_FMT_YUVJ422P ||
         format == AV_PIX_FMT_YUVJ444P || format == AV_PIX_FMT_YUVJ440P ||
         format == AV_PIX_FMT_YUVJ411P;
}

const char* NameOrUnsaid(const char* name) { return name == nullptr ? "unknown" : name; }

}  // namespace

std::string FfmpegError(int code) {
  char text[AV_ERROR_MAX_STRING_SIZE] = "";
  return av_strerror(code, text, sizeof(text)) == 0 ? text : fmt::format("error {}", code);
}

Result<PictureConverter> PictureConverter::For(const AVFrame& first, const std::string& location) {
  PictureConverter converter;
  converter.format_ = first.format;
  converter.coded_width_ = first.width;
  converter.coded_height_ = first.height;
  converter.colorspace_ = first.colorspace;
  converter.color_range_ = first.color_range;
  if (first.width < kSmallestSide || first.height < kSmallestSide || first.width > kLargestSide ||
      first.height > kLargestSide) {
    return Fail("{} is {}x{}; width and height must be {} to {}", location, first.width,
                first.height, kSmallestSide, kLargestSide);
  }
  converter.size_ = {EvenFloor(first.width), EvenFloor(first.height)};
  if (converter.size_ != Size{first.width, first.height}) {
    spdlog::info("{}: {}x{} is cropped to the even size {}x{}", location, first.width, first.height,
                 converter.size_.width, converter.size_.height);
  }
  const AVPixFmtDescriptor* description =
      av_pix_fmt_desc_get(static_cast<AVPixelFormat>(first.format));
  if (description == nullptr || (description->flags & AV_PIX_FMT_FLAG_HWACCEL) != 0 ||
      sws_isSupportedInput(static_cast<AVPixelFormat>(first.format)) == 0) {
    return Fail("{} has a pixel format that cannot be converted ({})", location,
                description == nullptr ? "unknown" : description->name);
  }

  // Grey pictures (one component, perhaps with alpha) use all values unless they say otherwise.
  converter.full_range_ =
      first.color_range == AVCOL_RANGE_JPEG || IsFullRangeFormat(first.format) ||
      (description->nb_components <= 2 && first.color_range == AVCOL_RANGE_UNSPECIFIED);
  const bool rgb = (description->flags & (AV_PIX_FMT_FLAG_RGB | AV_PIX_FMT_FLAG_PAL)) != 0;
  bool standard = !rgb;
  ColorMatrix matrix = ColorMatrix::kBt709;
  if (!rgb) {
    switch (first.colorspace) {
      case AVCOL_SPC_BT709:
        break;
      case AVCOL_SPC_BT470BG:
      case AVCOL_SPC_SMPTE170M:
        matrix = ColorMatrix::kBt601;
        break;
      case AVCOL_SPC_UNSPECIFIED:
      case AVCOL_SPC_RESERVED: {
        const bool high_definition = first.height > 576 || first.width >= 1280;
        matrix = high_definition ? ColorMatrix::kBt709 : ColorMatrix::kBt601;
        spdlog::info("{}: the stream does not say its colour matrix; at {}x{} it is taken as {}",
                     location, first.width, first.height, high_definition ? "bt709" : "bt601");
        break;
      }
      case AVCOL_SPC_FCC:
      case AVCOL_SPC_SMPTE240M:
      case AVCOL_SPC_BT2020_NCL:
        standard = false;
        break;
      default:
        return Fail(
            "{} has the colour matrix '{}', which cannot be converted; re-encode it as "
            "bt709",
            location, NameOrUnsaid(av_color_space_name(first.colorspace)));
    }
  }
  if (standard) {
    converter.color_ = {matrix, converter.full_range_ ? ColorRange::kFull : ColorRange::kLimited};
    converter.sws_matrix_ = matrix == ColorMatrix::kBt709 ? SWS_CS_ITU709 : SWS_CS_ITU601;
    converter.way_ = IsYuv420(first.format) ? Way::kWrap : Way::kToYuv420;
  } else {
    converter.color_ = {ColorMatrix::kBt709, ColorRange::kLimited};
    converter.sws_matrix_ = rgb ? SWS_CS_DEFAULT : static_cast<int>(first.colorspace);
    converter.way_ = Way::kToRgb;
  }
  if (converter.way_ != Way::kWrap) {
    spdlog::info("{}: {} pictures are converted to 4:2:0 {}", location, description->name,
                 ToString(converter.color_));
  }
  return converter;
}

Result<Frame> PictureConverter::Convert(AVFrame& picture) {
  if (picture.width != coded_width_ || picture.height != coded_height_ ||
      picture.format != format_) {
    return Fail("the picture changed from {}x{} {} to {}x{} {}; open the source again",
                coded_width_, coded_height_,
                av_get_pix_fmt_name(static_cast<AVPixelFormat>(format_)), picture.width,
                picture.height, av_get_pix_fmt_name(static_cast<AVPixelFormat>(picture.format)));
  }
  if (picture.colorspace != colorspace_ || picture.color_range != color_range_) {
    return Fail("the colours changed from {} {} to {} {}; open the source again",
                NameOrUnsaid(av_color_space_name(static_cast<AVColorSpace>(colorspace_))),
                NameOrUnsaid(av_color_range_name(static_cast<AVColorRange>(color_range_))),
                NameOrUnsaid(av_color_space_name(picture.colorspace)),
                NameOrUnsaid(av_color_range_name(picture.color_range)));
  }
  if (way_ == Way::kWrap) {
    // The decoder's buffers are reference-counted and no longer written once delivered.
    std::shared_ptr<AVFrame> owner(av_frame_alloc(), FfmpegDeleter());
    if (owner == nullptr) return Fail("out of memory");
    av_frame_move_ref(owner.get(), &picture);
    PlaneView planes[3];
    for (int i = 0; i < 3; ++i) {
      const int shift = i == 0 ? 0 : 1;
      planes[i] = {owner->data[i], size_.width >> shift, size_.height >> shift, owner->linesize[i]};
    }
    return Frame(size_.width, size_.height, color_, planes, std::move(owner));
  }

  const bool to_rgb = way_ == Way::kToRgb;
  if (scaler_ == nullptr) {
    // Reading the even part only is how odd sizes are cropped.
    scaler_.reset(
        sws_getContext(size_.width, size_.height, static_cast<AVPixelFormat>(format_), size_.width,
                       size_.height, to_rgb ? AV_PIX_FMT_RGB24 : AV_PIX_FMT_YUV420P,
                       SWS_AREA | SWS_ACCURATE_RND | SWS_FULL_CHR_H_INT | SWS_FULL_CHR_H_INP,
                       nullptr, nullptr, nullptr));
    if (scaler_ == nullptr) {
      return Fail("cannot convert pictures of format {}",
                  av_get_pix_fmt_name(static_cast<AVPixelFormat>(format_)));
    }
    // The same matrix and range on both sides leave the values alone; towards RGB the range of
    // the result is full.
    const int* table = sws_getCoefficients(sws_matrix_);
    sws_setColorspaceDetails(scaler_.get(), table, full_range_ ? 1 : 0, table,
                             to_rgb || full_range_ ? 1 : 0, 0, 1 << 16, 1 << 16);
  }
  if (to_rgb) {
    RgbImage image(size_.width, size_.height);
    uint8_t* data[4] = {&image.data()->r};
    const int strides[4] = {3 * size_.width};
    sws_scale(scaler_.get(), picture.data, picture.linesize, 0, size_.height, data, strides);
    return FrameFromRgb(image, color_);
  }
  Frame frame(size_.width, size_.height, color_);
  uint8_t* data[4] = {frame.MutablePlane(0), frame.MutablePlane(1), frame.MutablePlane(2)};
  const int strides[4] = {frame.plane(0).stride, frame.plane(1).stride, frame.plane(2).stride};
  sws_scale(scaler_.get(), picture.data, picture.linesize, 0, size_.height, data, strides);
  return frame;
}

}  // namespace stac
