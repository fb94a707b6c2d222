extern "C" {
#include <libavcodec/avcodec.h>
#include <libavutil/opt.h>
#include <libavutil/pixdesc.h>
#include <libavutil/video_enc_params.h>
}

#include <algorithm>
#include <cstring>
#include <vector>

#include "stac/base/check.h"
#include "stac/codec/sequence_guard.h"
#include "stac/codec/video_decoder.h"

namespace stac {
namespace {

struct FreeContext {
  void operator()(AVCodecContext* context) const { avcodec_free_context(&context); }
};
struct FreeFrame {
  void operator()(AVFrame* frame) const { av_frame_free(&frame); }
};
struct FreePacket {
  void operator()(AVPacket* packet) const { av_packet_free(&packet); }
};

std::string ErrorText(int code) {
  char text[AV_ERROR_MAX_STRING_SIZE] = {};
  av_strerror(code, text, sizeof(text));
  return text;
}

ColorSpec ColorOf(const AVFrame& picture) {
  ColorSpec color;
  switch (picture.colorspace) {
    case AVCOL_SPC_SMPTE170M:
    case AVCOL_SPC_BT470BG:
    case AVCOL_SPC_FCC:
      color.matrix = ColorMatrix::kBt601;
      break;
    default:
      color.matrix = ColorMatrix::kBt709;
  }
  const bool full =
      picture.color_range == AVCOL_RANGE_JPEG || picture.format == AV_PIX_FMT_YUVJ420P;
  color.range = full ? ColorRange::kFull : ColorRange::kLimited;
  return color;
}

class FfmpegDecoder final : public VideoDecoder {
 public:
  explicit FfmpegDecoder(const DecoderOptions& options) : options_(options) {}

  Status Open() {
    const bool h265 = options_.codec == VideoCodec::kH265;
    if (h265 && options_.want_qp) return Fail("FFmpeg does not tell the QPs of an H.265 stream");
    const AVCodec* codec = avcodec_find_decoder(h265 ? AV_CODEC_ID_HEVC : AV_CODEC_ID_H264);
    if (codec == nullptr) {
      return Fail("this FFmpeg has no {} decoder: install libavcodec", ToString(options_.codec));
    }
    context_.reset(avcodec_alloc_context3(codec));
    packet_.reset(av_packet_alloc());
    if (context_ == nullptr || packet_ == nullptr) return Fail("out of memory for a decoder");
    context_->opaque = this;
    // What goes wrong is returned, not printed. Some parsers log without a context.
    context_->log_level_offset = 100;
    av_log_set_level(AV_LOG_FATAL);
    context_->get_format = &FfmpegDecoder::ChooseFormat;
    context_->flags |= AV_CODEC_FLAG_LOW_DELAY;
    context_->thread_type = FF_THREAD_SLICE;
    context_->thread_count = std::max(1, options_.threads);
    context_->err_recognition = AV_EF_EXPLODE | AV_EF_BITSTREAM | AV_EF_BUFFER;
    // FFmpeg counts rows as long as it pads them; ChooseFormat looks at the sizes.
    constexpr int64_t kMostPadding = 63;
    context_->max_pixels =
        (options_.max_width + kMostPadding) * (options_.max_height + kMostPadding);
    if (options_.want_qp) context_->export_side_data |= AV_CODEC_EXPORT_DATA_VIDEO_ENC_PARAMS;
    // Finds macroblocks of H.264 that no slice covered; FFmpeg leaves it off with slice threads,
    // which report no errors otherwise.
    av_opt_set_int(context_.get(), "enable_er", 1, AV_OPT_SEARCH_CHILDREN);
    const int opened = avcodec_open2(context_.get(), codec, nullptr);
    if (opened < 0) {
      return Fail("FFmpeg cannot open its {} decoder: {}", codec->name, ErrorText(opened));
    }
    guard_ = h265 ? MakeH265Guard(options_) : MakeH264Guard();
    return OkStatus();
  }

  Result<DecodedFrame> Decode(ByteSpan access_unit) override {
    const std::vector<NalUnit> units = SplitNalUnits(access_unit);
    const bool idr = guard_->IsIdr(units);
    if (waiting_for_idr_) {
      if (!idr)
        return Fail("the picture cannot be decoded without those before it: ask for an IDR");
      // What broke it may have left anything behind, parameter sets too.
      if (dirty_) STAC_RETURN_IF_ERROR(Open());
      dirty_ = false;
    }
    const Status sequel = guard_->Check(units);
    Result<DecodedFrame> decoded = sequel ? DecodeOne(access_unit) : tl::unexpected(sequel.error());
    waiting_for_idr_ = dirty_ = !decoded.has_value();
    if (decoded) decoded->idr = idr;
    return decoded;
  }

 private:
  Result<DecodedFrame> DecodeOne(ByteSpan access_unit) {
    refusal_.clear();
    STAC_RETURN_IF_ERROR(FillPacket(access_unit));
    const int sent = avcodec_send_packet(context_.get(), packet_.get());
    if (sent < 0) return Refused(sent);
    auto picture = NewFrame();
    const int received = avcodec_receive_frame(context_.get(), picture.get());
    if (received < 0) return Refused(received);
    {
      // One access unit, one picture: more would mean that they come late from now on.
      const auto second = NewFrame();
      if (avcodec_receive_frame(context_.get(), second.get()) >= 0) {
        return Fail("the message holds more than one picture");
      }
    }
    if (picture->decode_error_flags != 0 || (picture->flags & AV_FRAME_FLAG_CORRUPT) != 0) {
      return Fail("the picture is damaged: parts of it are missing or wrong");
    }
    return Wrap(std::move(picture));
  }

  Status FillPacket(ByteSpan access_unit) {
    if (access_unit.empty() || access_unit.size() > kMaxAccessUnit) {
      return Fail("an access unit of {} bytes is not in 1..{}", access_unit.size(), kMaxAccessUnit);
    }
    const size_t padded = access_unit.size() + AV_INPUT_BUFFER_PADDING_SIZE;
    // The buffer is reused unless the decoder still holds it.
    AVBufferRef* buffer = packet_->buf;
    if (buffer == nullptr || buffer->size < padded || !av_buffer_is_writable(buffer)) {
      av_packet_unref(packet_.get());
      if (av_new_packet(packet_.get(), static_cast<int>(access_unit.size() * 3 / 2)) < 0) {
        return Fail("out of memory for an access unit of {} bytes", access_unit.size());
      }
    }
    packet_->data = packet_->buf->data;
    packet_->size = static_cast<int>(access_unit.size());
    std::memcpy(packet_->data, access_unit.data(), access_unit.size());
    std::memset(packet_->data + access_unit.size(), 0, AV_INPUT_BUFFER_PADDING_SIZE);
    return OkStatus();
  }

  tl::unexpected<Error> Refused(int code) const {
    if (!refusal_.empty()) return Fail("{}", refusal_);
    if (code == AVERROR(EAGAIN)) return Fail("the access unit holds no complete picture");
    return Fail("the access unit does not decode: {}", ErrorText(code));
  }

  Result<DecodedFrame> Wrap(std::unique_ptr<AVFrame, FreeFrame> picture) const {
    if (picture->width % 2 != 0 || picture->height % 2 != 0 || picture->width < 16 ||
        picture->height < 16) {
      return Fail("a stream of {}x{} pictures is not supported: sizes must be even, 16 or more",
                  picture->width, picture->height);
    }
    DecodedFrame decoded;
    if (options_.want_qp) {
      STAC_ASSIGN_OR_RETURN(decoded.qp, QpOf(*picture));
    }
    PlaneView planes[3];
    for (int i = 0; i < 3; ++i) {
      const int shift = i == 0 ? 0 : 1;
      planes[i] = {picture->data[i], picture->width >> shift, picture->height >> shift,
                   picture->linesize[i]};
    }
    const int width = picture->width;
    const int height = picture->height;
    const ColorSpec color = ColorOf(*picture);
    decoded.frame = Frame(width, height, color, planes,
                          std::shared_ptr<const AVFrame>(picture.release(), FreeFrame{}));
    return decoded;
  }

  static Result<QpMap> QpOf(const AVFrame& picture) {
    const AVFrameSideData* side = av_frame_get_side_data(&picture, AV_FRAME_DATA_VIDEO_ENC_PARAMS);
    QpMap qp((picture.width + kMacroblock - 1) / kMacroblock,
             (picture.height + kMacroblock - 1) / kMacroblock);
    auto* parameters = side == nullptr ? nullptr : reinterpret_cast<AVVideoEncParams*>(side->data);
    if (parameters == nullptr || parameters->nb_blocks < qp.size()) {
      return Fail("FFmpeg did not report the QPs of a picture");
    }
    for (unsigned i = 0; i < parameters->nb_blocks; ++i) {
      const AVVideoBlockParams* block = av_video_enc_params_block(parameters, i);
      const int x = block->src_x / kMacroblock;
      const int y = block->src_y / kMacroblock;
      if (block->src_x < 0 || block->src_y < 0 || x >= qp.width() || y >= qp.height()) continue;
      qp(x, y) = static_cast<uint8_t>(std::clamp(parameters->qp + block->delta_qp, 0, kMaxQp));
    }
    return qp;
  }

  std::unique_ptr<AVFrame, FreeFrame> NewFrame() const {
    std::unique_ptr<AVFrame, FreeFrame> frame(av_frame_alloc());
    STAC_CHECK(frame != nullptr);
    return frame;
  }

  // FFmpeg calls this when a stream's size or format becomes known, before it allocates pictures
  // or tables.
  static AVPixelFormat ChooseFormat(AVCodecContext* context, const AVPixelFormat* choices) {
    auto* self = static_cast<FfmpegDecoder*>(context->opaque);
    if (context->coded_width > self->options_.max_width + kMacroblock - 1 ||
        context->coded_height > self->options_.max_height + kMacroblock - 1) {
      self->refusal_ = fmt::format("pictures of {}x{} are larger than the {}x{} accepted here",
                                   context->coded_width, context->coded_height,
                                   self->options_.max_width, self->options_.max_height);
      return AV_PIX_FMT_NONE;
    }
    AVPixelFormat last = AV_PIX_FMT_NONE;
    for (; *choices != AV_PIX_FMT_NONE; ++choices) {
      if (*choices == AV_PIX_FMT_YUV420P || *choices == AV_PIX_FMT_YUVJ420P) return *choices;
      last = *choices;
    }
    const char* name = av_get_pix_fmt_name(last);
    self->refusal_ = fmt::format("the stream's pixel format {} is not supported: use 8-bit 4:2:0",
                                 name == nullptr ? "(none)" : name);
    return AV_PIX_FMT_NONE;
  }

  static constexpr size_t kMaxAccessUnit = size_t{64} << 20;

  const DecoderOptions options_;
  std::unique_ptr<AVCodecContext, FreeContext> context_;
  std::unique_ptr<AVPacket, FreePacket> packet_;
  std::unique_ptr<SequenceGuard> guard_;
  bool waiting_for_idr_ = true;
  bool dirty_ = false;  // something failed since it was opened
  std::string refusal_;
};

}  // namespace

Result<std::unique_ptr<VideoDecoder>> MakeVideoDecoder(const DecoderOptions& options) {
  auto decoder = std::make_unique<FfmpegDecoder>(options);
  STAC_RETURN_IF_ERROR(decoder->Open());
  return decoder;
}

}  // namespace stac
