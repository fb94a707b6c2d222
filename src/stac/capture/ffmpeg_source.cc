#include "stac/capture/ffmpeg_source.h"

extern "C" {
#include <libavdevice/avdevice.h>
#include <libavutil/display.h>
#include <libavutil/time.h>
}

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <string_view>
#include <thread>
#include <utility>

#include "stac/base/log.h"
#include "stac/capture/ffmpeg_internal.h"
#include "stac/capture/fifo_input.h"
#include "stac/capture/picture_times.h"
#include "stac/capture/source_location.h"

namespace stac {
namespace {

using SteadyClock = std::chrono::steady_clock;
// With a sender of which nothing can be decoded (it may be some time to its next keyframe).
constexpr std::chrono::seconds kPicturePatience{30};
// FFmpeg asks at least so often whether to give up; a longer time is one that we did not run in.
constexpr std::chrono::seconds kPaused{2};
// A camera is asked so often for its next picture.
constexpr std::chrono::milliseconds kCameraPoll{1};

// 0: unknown.
double NominalFps(AVFormatContext& demuxer, AVStream& stream) {
  const double guess = av_q2d(av_guess_frame_rate(&demuxer, &stream, nullptr));
  // The clock of a stream's times is what FFmpeg guesses for pictures that come as they please, as
  // in WebM; for cameras it guesses nothing.
  const bool clock_rate = std::abs(guess * av_q2d(stream.time_base) - 1) < 1e-9;
  const bool likely = guess > 0 && guess <= 240;
  if (likely && !clock_rate) return guess;
  const double average = av_q2d(stream.avg_frame_rate);  // NaN: unknown
  if (average > 0 && average <= 1000) return average;
  return likely ? guess : 0;
}

class FfmpegSource final : public FrameSource {
 public:
  FfmpegSource(const SourceLocation& location, const SourceOptions& options)
      : options_(options), name_(location.shown) {
    options_.frame_step = std::max(options_.frame_step, 1);
    info_.name = location.short_name;
    info_.live = location.live;
    may_stall_ = location.live || location.url || location.kind == SourceLocation::Kind::kFifo;
  }

  // FFmpeg asks IsOver while it closes, too, when most of the demuxer is gone.
  ~FfmpegSource() override { opened_ = false; }

  Status Open(const SourceLocation& location) {
    STAC_RETURN_IF_ERROR(OpenDemuxer(location));
    AVFormatContext* context = demuxer_.get();
    const AVCodec* codec = nullptr;
    stream_index_ = av_find_best_stream(context, AVMEDIA_TYPE_VIDEO, -1, -1, &codec, 0);
    if (stream_index_ < 0 || codec == nullptr) {
      return Fail("{} holds no video that can be decoded", name_);
    }
    for (unsigned i = 0; i < context->nb_streams; ++i) {
      if (static_cast<int>(i) != stream_index_) context->streams[i]->discard = AVDISCARD_ALL;
    }
    AVStream* stream = context->streams[stream_index_];
    time_base_ = times_of_arrival_ ? AVRational{1, 1'000'000} : stream->time_base;
    decoder_.reset(avcodec_alloc_context3(codec));
    packet_.reset(av_packet_alloc());
    picture_.reset(av_frame_alloc());
    if (decoder_ == nullptr || packet_ == nullptr || picture_ == nullptr) {
      return Fail("out of memory");
    }
    int code = avcodec_parameters_to_context(decoder_.get(), stream->codecpar);
    if (code < 0) {
      return Fail("cannot decode {}: {}", name_, FfmpegError(code));
    }
    decoder_->max_pixels = int64_t{16384} * 16384;
    decoder_->thread_count =
        static_cast<int>(std::clamp(std::thread::hardware_concurrency(), 1u, 4u));
    // Frame threads hold pictures back, which a live source cannot afford.
    decoder_->thread_type = info_.live ? FF_THREAD_SLICE : FF_THREAD_FRAME | FF_THREAD_SLICE;
    if (info_.live) decoder_->flags |= AV_CODEC_FLAG_LOW_DELAY;
    if (code = avcodec_open2(decoder_.get(), codec, nullptr); code < 0) {
      return Fail("cannot decode {}: {}", name_, FfmpegError(code));
    }

    // What the stream says about itself may be wrong; the first picture is not.
    STAC_ASSIGN_OR_RETURN(picture_waits_, Decode());
    if (!picture_waits_ && Stopped()) return Fail("opening {} was interrupted", name_);
    if (!picture_waits_) return Fail("{} holds no picture that can be decoded", name_);
    STAC_ASSIGN_OR_RETURN(converter_, PictureConverter::For(*picture_, name_));
    FillInfo(*stream);
    const bool may_jump = info_.live || (context->iformat->flags & AVFMT_TS_DISCONT) != 0;
    times_ = PictureTimes(std::max<Micros>(std::llround(1e6 / info_.fps), 1), may_jump);
    return OkStatus();
  }

  const SourceInfo& info() const override { return info_; }
  void Interrupt() override { interrupted_ = true; }

  Result<std::optional<Frame>> Next() override {
    if (options_.max_frames >= 0 && delivered_ >= options_.max_frames) return std::nullopt;
    const int64_t wanted = options_.first_frame + delivered_ * options_.frame_step;
    for (;; ++decoded_) {
      if (!picture_waits_) {
        STAC_ASSIGN_OR_RETURN(picture_waits_, Decode());
        if (!picture_waits_) return std::nullopt;
      }
      if (decoded_ >= wanted) break;
      picture_waits_ = false;
    }
    picture_waits_ = false;
    ++decoded_;
    const Micros time = TimeOf(*picture_);
    Result<Frame> converted = converter_->Convert(*picture_);
    if (!converted) return Fail("{}: {}", name_, converted.error().message);
    Frame frame = ShrinkFrame(*converted, {info_.width, info_.height});
    frame.id = static_cast<FrameId>(delivered_++);
    frame.pts = time;
    return frame;
  }

 private:
  Status OpenDemuxer(const SourceLocation& location) {
    // Our own errors and log lines say what happened; FFmpeg's would come on top.
    av_log_set_level(AV_LOG_FATAL);
    const bool camera = location.kind == SourceLocation::Kind::kCamera;
    const AVInputFormat* format = nullptr;
    if (camera) {
      avdevice_register_all();
      format = av_find_input_format("video4linux2");
    }
    AVFormatContext* context = avformat_alloc_context();
    if (context == nullptr) return Fail("out of memory");
    context->interrupt_callback = {&FfmpegSource::IsOver, this};
    if (info_.live) context->flags |= AVFMT_FLAG_NOBUFFER;
    // Else FFmpeg waits for a camera's pictures in the kernel, and asks nobody whether to go on.
    if (camera) context->flags |= AVFMT_FLAG_NONBLOCK;
    if (location.kind == SourceLocation::Kind::kFifo) {
      auto fifo = FifoInput::Open(location.path, [this] { return IsFifoOver(); });
      if (!fifo) {
        avformat_free_context(context);
        return tl::unexpected<Error>(std::move(fifo).error());
      }
      fifo_ = std::move(*fifo);
      context->pb = fifo_->bytes();
    }
    Wait();
    AVDictionary* settings = nullptr;
    // A picture that is there is meant itself, whatever its name looks like.
    if (location.kind == SourceLocation::Kind::kFile) {
      av_dict_set(&settings, "pattern_type", "none", 0);
    }
    // On failure this frees the context.
    int code = avformat_open_input(&context, location.path.c_str(), format, &settings);
    av_dict_free(&settings);
    if (code < 0) {
      if (Stopped()) return Fail("opening {} was interrupted", name_);
      return Fail("cannot open {}: {}; give a video file, a URL or a camera that FFmpeg can read",
                  name_, Reason(code));
    }
    demuxer_.reset(context);
    opened_ = true;
    Wait();
    // Pictures in an HTTP answer without an end, as of an IP camera: their times are made up.
    times_of_arrival_ = location.url && std::string_view(context->iformat->name) == "mpjpeg";
    info_.live |= times_of_arrival_;
    // A camera's driver has said it all; FFmpeg would ask for pictures without a pause. And to
    // guess a rate from made up times it would wait for twenty pictures.
    if (!camera && !times_of_arrival_) {
      if (code = avformat_find_stream_info(context, nullptr); code < 0) {
        return Fail("cannot read {}: {}", name_, Reason(code));
      }
    }
    return OkStatus();
  }

  // Whether FFmpeg is to give up what it waits for.
  static int IsOver(void* self) {
    auto* source = static_cast<FfmpegSource*>(self);
    // A slow sender is none that stalls.
    const AVIOContext* bytes = source->fifo_     ? source->fifo_->bytes()
                               : source->opened_ ? source->demuxer_->pb
                                                 : nullptr;
    if (bytes != nullptr && bytes->bytes_read != source->bytes_read_) {
      source->bytes_read_ = bytes->bytes_read;
      source->Wait();
    }
    const auto now = SteadyClock::now();
    if (const auto pause = now - std::exchange(source->asked_, now); pause > kPaused) {
      source->picture_deadline_ += pause;
      source->Wait();
    }
    if (source->may_stall_ && now > source->deadline_) source->late_ = true;
    return source->late_ || source->Stopped() ? 1 : 0;
  }
  bool IsFifoOver() {
    if (fifo_->began()) return IsOver(this) != 0;
    Wait();  // whoever is going to write to it may take his time
    return Stopped();
  }
  bool Stopped() const { return interrupted_ || (options_.stop != nullptr && *options_.stop); }
  void Wait() {
    const std::chrono::duration<double> patience(options_.patience_s);
    asked_ = SteadyClock::now();
    deadline_ = asked_ + std::chrono::duration_cast<SteadyClock::duration>(patience);
  }
  std::string Reason(int code) const {
    if (late_) return fmt::format("it sent nothing for {:g} s", options_.patience_s);
    return Stopped() ? "interrupted" : FfmpegError(code);
  }

  void FillInfo(AVStream& stream) {
    const Size size = FitInto(converter_->size(), options_.max_width, options_.max_height);
    info_.width = size.width;
    info_.height = size.height;
    info_.color = converter_->color();
    if (const uint8_t* matrix =
            av_stream_get_side_data(&stream, AV_PKT_DATA_DISPLAYMATRIX, nullptr)) {
      const double turn = av_display_rotation_get(reinterpret_cast<const int32_t*>(matrix));
      if (std::abs(turn) > 1) {
        spdlog::warn("{}: players turn it by {:.0f} degrees; here it is taken as it was coded",
                     name_, -turn);
      }
    }
    double fps = NominalFps(*demuxer_, stream);
    if (fps <= 0) {
      fps = 25;
      spdlog::info("{}: no frame rate given; taken as {}", name_, fps);
    }
    info_.fps = fps / options_.frame_step;
    if (info_.live) return;
    int64_t count = stream.nb_frames;
    if (count <= 0 && demuxer_->duration > 0) {
      count = std::llround(static_cast<double>(demuxer_->duration) / AV_TIME_BASE * fps);
    }
    if (count <= 0) return;
    count = (std::max<int64_t>(count - options_.first_frame, 0) + options_.frame_step - 1) /
            options_.frame_step;
    info_.frame_count = options_.max_frames >= 0 ? std::min(count, options_.max_frames) : count;
  }

  // Decodes the next picture into picture_; false at the end of the stream.
  Result<bool> Decode() {
    picture_deadline_ = SteadyClock::now() + kPicturePatience;
    while (true) {
      int code = avcodec_receive_frame(decoder_.get(), picture_.get());
      if (code == 0) return true;
      if (code == AVERROR_EOF) return false;
      if (code != AVERROR(EAGAIN)) {
        if (code == AVERROR(ENOMEM)) return Fail("{}: out of memory", name_);
        ReportDamage();
        continue;
      }
      if (may_stall_ && SteadyClock::now() > picture_deadline_) {
        return Fail("{} sent no picture that can be decoded for {} s", name_,
                    kPicturePatience.count());
      }
      code = ReadPacket();
      if (Stopped()) return false;
      if (code == AVERROR_INVALIDDATA && (demuxer_->flags & AVFMT_FLAG_NONBLOCK) != 0) {
        ReportDamage();  // a camera's picture that is cut short, as many begin with
        continue;
      }
      if (code == AVERROR_EOF && !late_) {  // some formats end where they are given up
        avcodec_send_packet(decoder_.get(), nullptr);
        continue;
      }
      if (code < 0) return Fail("cannot read on from {}: {}", name_, Reason(code));
      if (packet_->stream_index == stream_index_ &&
          avcodec_send_packet(decoder_.get(), packet_.get()) < 0) {
        ReportDamage();
      }
      av_packet_unref(packet_.get());
    }
  }

  // The next packet of any stream, into packet_; an error of FFmpeg's.
  int ReadPacket() {
    Wait();
    while (true) {
      const int code = av_read_frame(demuxer_.get(), packet_.get());
      if (code == 0 && times_of_arrival_) packet_->pts = packet_->dts = av_gettime_relative();
      if (code != AVERROR(EAGAIN)) return code;
      if (IsOver(this) != 0) return AVERROR_EXIT;
      std::this_thread::sleep_for(kCameraPoll);
    }
  }

  void ReportDamage() {
    if (!damage_reported_) spdlog::warn("{}: damaged data is skipped", name_);
    damage_reported_ = true;
  }

  // Of a delivered picture.
  Micros TimeOf(const AVFrame& picture) {
    std::optional<Micros> stamp;
    if (picture.best_effort_timestamp != AV_NOPTS_VALUE) {
      stamp = av_rescale_q(picture.best_effort_timestamp, time_base_, {1, 1'000'000});
    }
    const bool jumped_before = times_.jumped();
    const Micros time = times_.Next(stamp);
    if (times_.jumped() && !jumped_before) {
      spdlog::warn("{}: its times jump; it goes on without a gap", name_);
    }
    return time;
  }

  SourceOptions options_;
  std::string name_;
  SourceInfo info_;
  bool opened_ = false;            // demuxer_ is there, and is not being closed
  int64_t bytes_read_ = 0;         // when IsOver looked last
  SteadyClock::time_point asked_;  // when IsOver was called last
  SteadyClock::time_point picture_deadline_;
  bool may_stall_ = false;  // somebody sends, who may stop without a word
  std::atomic<bool> interrupted_{false};
  std::atomic<bool> late_{false};    // nothing came in time
  std::unique_ptr<FifoInput> fifo_;  // read by demuxer_, where it is one
  FfmpegPtr<AVFormatContext> demuxer_;
  FfmpegPtr<AVCodecContext> decoder_;
  FfmpegPtr<AVPacket> packet_;
  FfmpegPtr<AVFrame> picture_;
  bool picture_waits_ = false;  // picture_ is decoded and not yet delivered
  std::optional<PictureConverter> converter_;
  int stream_index_ = -1;
  AVRational time_base_{0, 1};     // of the pictures' times
  bool times_of_arrival_ = false;  // in place of those that they come with
  int64_t decoded_ = 0;            // pictures delivered or skipped
  int64_t delivered_ = 0;
  PictureTimes times_;
  bool damage_reported_ = false;
  SteadyClock::time_point deadline_;
};

}  // namespace

Result<std::unique_ptr<FrameSource>> OpenFfmpegSource(const std::string& location,
                                                      const SourceOptions& options) {
  const SourceLocation place = LocateSource(location);
  auto source = std::make_unique<FfmpegSource>(place, options);
  STAC_RETURN_IF_ERROR(source->Open(place));
  return source;
}

}  // namespace stac
