#include "stac/capture/mp4_writer.h"

#include <cmath>
#include <cstring>

#include "stac/base/file.h"
#include "stac/capture/ffmpeg_internal.h"

namespace stac {
namespace {

constexpr int kTicks = 90000;  // per second
constexpr int kSps = 7;
constexpr int kPps = 8;

// The parameter sets of an access unit with their start codes; empty unless both kinds occur.
Bytes ParameterSets(ByteSpan unit) {
  Bytes sets;
  bool sps = false;
  bool pps = false;
  const auto start_code = [unit](size_t i) {
    return i + 3 < unit.size() && unit[i] == 0 && unit[i + 1] == 0 && unit[i + 2] == 1;
  };
  size_t i = 0;
  while (i + 3 < unit.size() && !start_code(i)) ++i;
  while (i + 3 < unit.size()) {
    size_t end = i + 3;
    while (end < unit.size() && !start_code(end)) ++end;
    const int type = unit[i + 3] & 31;
    if (type == kSps || type == kPps) {
      sps = sps || type == kSps;
      pps = pps || type == kPps;
      // Zeros in front of the next start code belong to that.
      size_t last = end;
      while (last > i + 4 && unit[last - 1] == 0) --last;
      sets.push_back(0);
      sets.insert(sets.end(), unit.begin() + static_cast<ptrdiff_t>(i),
                  unit.begin() + static_cast<ptrdiff_t>(last));
    }
    i = end;
  }
  return sps && pps ? sets : Bytes();
}

class FfmpegMp4Writer final : public Mp4Writer {
 public:
  FfmpegMp4Writer(std::filesystem::path path, int width, int height, double fps)
      : path_(std::move(path)),
        part_(path_.string() + ".part"),
        width_(width),
        height_(height),
        duration_(std::max<int64_t>(std::llround(kTicks / fps), 1)) {}

  ~FfmpegMp4Writer() override {
    Close();
    std::error_code ignored;
    if (!finished_) std::filesystem::remove(part_, ignored);
  }

  Status Open() {
    if (path_.has_parent_path()) STAC_RETURN_IF_ERROR(MakeFolder(path_.parent_path()));
    av_log_set_level(AV_LOG_FATAL);
    int code = avformat_alloc_output_context2(&muxer_, nullptr, "mp4", part_.c_str());
    if (code >= 0) code = avio_open(&muxer_->pb, part_.c_str(), AVIO_FLAG_WRITE);
    packet_.reset(av_packet_alloc());
    if (code < 0 || packet_ == nullptr) return Failed(code);
    return OkStatus();
  }

  Status Write(ByteSpan access_unit, Micros pts, bool idr) override {
    if (finished_ || failed_) return Over();
    if (stream_ == nullptr) {
      const Bytes sets = ParameterSets(access_unit);
      if (sets.empty()) return OkStatus();
      const Status header = WriteHeader(sets);
      failed_ = !header;  // FFmpeg has taken the muxer apart
      if (!header) return header;
    }
    if (const int code = av_new_packet(packet_.get(), static_cast<int>(access_unit.size()));
        code < 0) {
      return Failed(code);
    }
    std::memcpy(packet_->data, access_unit.data(), access_unit.size());
    int64_t time = av_rescale(pts, kTicks, 1'000'000);
    if (written_ == 0) origin_ = time;
    time -= origin_;
    if (written_ > 0) time = std::max(time, last_time_ + 1);
    last_time_ = time;
    ++written_;
    packet_->stream_index = 0;
    packet_->pts = packet_->dts = time;
    packet_->duration = duration_;
    if (idr) packet_->flags |= AV_PKT_FLAG_KEY;
    av_packet_rescale_ts(packet_.get(), {1, kTicks}, stream_->time_base);
    const int code = av_write_frame(muxer_, packet_.get());
    av_packet_unref(packet_.get());
    return code < 0 ? Failed(code) : OkStatus();
  }

  Status Finish() override {
    if (finished_ || failed_) return Over();
    if (stream_ == nullptr) {
      return Fail("{} was not written: the stream held no parameter sets", path_.string());
    }
    int code = av_write_trailer(muxer_);
    const int closed = avio_closep(&muxer_->pb);
    if (code >= 0) code = closed;
    Close();
    if (code < 0) return Failed(code);
    std::error_code error;
    std::filesystem::rename(part_, path_, error);
    if (error) return Fail("cannot write {}: {}", path_.string(), error.message());
    finished_ = true;
    return OkStatus();
  }

 private:
  Status Over() const {
    return Fail("{} {}", path_.string(),
                failed_ ? "could not be written from its header on" : "is finished already");
  }

  Status WriteHeader(const Bytes& sets) {
    stream_ = avformat_new_stream(muxer_, nullptr);
    if (stream_ == nullptr) return Failed(AVERROR(ENOMEM));
    AVCodecParameters& parameters = *stream_->codecpar;
    parameters.codec_type = AVMEDIA_TYPE_VIDEO;
    parameters.codec_id = AV_CODEC_ID_H264;
    parameters.width = width_;
    parameters.height = height_;
    parameters.format = AV_PIX_FMT_YUV420P;
    // The muxer turns these, and every packet, from Annex B into the file's own form.
    parameters.extradata =
        static_cast<uint8_t*>(av_mallocz(sets.size() + AV_INPUT_BUFFER_PADDING_SIZE));
    if (parameters.extradata == nullptr) return Failed(AVERROR(ENOMEM));
    std::memcpy(parameters.extradata, sets.data(), sets.size());
    parameters.extradata_size = static_cast<int>(sets.size());
    stream_->time_base = {1, kTicks};
    AVDictionary* options = nullptr;
    av_dict_set(&options, "movflags", "faststart", 0);
    const int code = avformat_write_header(muxer_, &options);
    av_dict_free(&options);
    return code < 0 ? Failed(code) : OkStatus();
  }

  Status Failed(int code) const {
    return Fail("cannot write {}: {}", path_.string(), FfmpegError(code));
  }

  void Close() {
    if (muxer_ == nullptr) return;
    if (muxer_->pb != nullptr) avio_closep(&muxer_->pb);
    avformat_free_context(muxer_);
    muxer_ = nullptr;
    stream_ = nullptr;
  }

  std::filesystem::path path_;
  std::string part_;
  int width_, height_;
  int64_t duration_;
  AVFormatContext* muxer_ = nullptr;
  AVStream* stream_ = nullptr;  // set once the header is written
  FfmpegPtr<AVPacket> packet_;
  int64_t written_ = 0;
  int64_t origin_ = 0;
  int64_t last_time_ = 0;
  bool finished_ = false;
  bool failed_ = false;
};

}  // namespace

Result<std::unique_ptr<Mp4Writer>> MakeMp4Writer(const std::filesystem::path& path, int width,
                                                 int height, double fps) {
  if (!(fps > 0)) return Fail("cannot write {}: a frame rate above 0 is needed", path.string());
  auto writer = std::make_unique<FfmpegMp4Writer>(path, width, height, fps);
  STAC_RETURN_IF_ERROR(writer->Open());
  return writer;
}

}  // namespace stac
