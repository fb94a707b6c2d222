#include "stac/capture/ffmpeg_source.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <functional>
#include <future>
#include <random>
#include <thread>

#include "stac/base/file.h"
#include "stac/capture/ffmpeg_internal.h"

namespace stac {
namespace {

namespace fs = std::filesystem;

// Sends a few bytes to the first one who connects, and then nothing more; those behind `at_once`
// bit by bit.
class StallingSender {
 public:
  explicit StallingSender(Bytes bytes, size_t at_once = SIZE_MAX)
      : listener_(socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t length = sizeof(address);
    EXPECT_EQ(bind(listener_, reinterpret_cast<sockaddr*>(&address), length), 0);
    EXPECT_EQ(listen(listener_, 1), 0);
    getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &length);
    url_ = fmt::format("tcp://127.0.0.1:{}", ntohs(address.sin_port));
    sender_ = std::thread([this, bytes = std::move(bytes), at_once] {
      connection_ = accept(listener_, nullptr, nullptr);
      if (connection_ < 0) return;  // nobody came
      constexpr size_t kPiece = 100;
      for (size_t at = 0, size = std::min(at_once, bytes.size()); at < bytes.size();
           at += size, size = std::min(kPiece, bytes.size() - at)) {
        if (at > 0) std::this_thread::sleep_for(std::chrono::milliseconds(50));
        EXPECT_EQ(send(connection_, bytes.data() + at, size, MSG_NOSIGNAL),
                  static_cast<ssize_t>(size));
      }
    });
  }
  ~StallingSender() {
    shutdown(listener_, SHUT_RDWR);
    sender_.join();
    close(connection_);
    close(listener_);
  }
  const std::string& url() const { return url_; }

 private:
  int listener_;
  int connection_ = -1;
  std::string url_;
  std::thread sender_;
};

// A picture of noise, some 700 bytes.
std::string NoisyJpeg() {
  FfmpegPtr<AVFrame> picture(av_frame_alloc());
  picture->format = AV_PIX_FMT_YUVJ420P;
  picture->width = 32;
  picture->height = 16;
  EXPECT_EQ(av_frame_get_buffer(picture.get(), 0), 0);
  std::mt19937 random(1);
  for (int p = 0; p < 3; ++p) {
    for (int y = 0; y < (p == 0 ? 16 : 8); ++y) {
      uint8_t* row = picture->data[p] + y * picture->linesize[p];
      std::generate_n(row, p == 0 ? 32 : 16, std::ref(random));
    }
  }
  const AVCodec* codec = avcodec_find_encoder(AV_CODEC_ID_MJPEG);
  FfmpegPtr<AVCodecContext> encoder(avcodec_alloc_context3(codec));
  encoder->width = 32;
  encoder->height = 16;
  encoder->pix_fmt = AV_PIX_FMT_YUVJ420P;
  encoder->time_base = {1, 25};
  FfmpegPtr<AVPacket> packet(av_packet_alloc());
  EXPECT_EQ(avcodec_open2(encoder.get(), codec, nullptr), 0);
  EXPECT_EQ(avcodec_send_frame(encoder.get(), picture.get()), 0);
  EXPECT_EQ(avcodec_send_frame(encoder.get(), nullptr), 0);
  EXPECT_EQ(avcodec_receive_packet(encoder.get(), packet.get()), 0);
  return {packet->data, packet->data + packet->size};
}

class FfmpegSourceTest : public testing::Test {
 protected:
  FfmpegSourceTest()
      : folder_(fs::path(testing::TempDir()) /
                fmt::format("stac_ffmpeg_source_test_{}", getpid())) {
    fs::remove_all(folder_);
    fs::create_directories(folder_);
  }
  ~FfmpegSourceTest() override { fs::remove_all(folder_); }

  // Raw video: plane p of frame i has the samples Value(i, p, x, y).
  static int Value(int frame, int plane, int x, int y) {
    return 40 + 10 * frame + 30 * plane + (x * 3 + y * 5) % 17;
  }
  std::string RawVideo(int width, int height, int frames, const std::string& header,
                       int chroma_width, int chroma_height) {
    Bytes bytes;
    const auto text = [&bytes](const std::string& part) {
      bytes.insert(bytes.end(), part.begin(), part.end());
    };
    text(fmt::format("YUV4MPEG2 W{} H{} F10:1 {}\n", width, height, header));
    for (int i = 0; i < frames; ++i) {
      text("FRAME\n");
      for (int p = 0; p < 3; ++p) {
        for (int y = 0; y < (p == 0 ? height : chroma_height); ++y) {
          for (int x = 0; x < (p == 0 ? width : chroma_width); ++x) {
            bytes.push_back(static_cast<uint8_t>(Value(i, p, x, y)));
          }
        }
      }
    }
    const fs::path path = folder_ / "raw.y4m";
    EXPECT_TRUE(WriteFile(path, ByteSpan(bytes)));
    return path.string();
  }

  // Matroska that says no rate: pictures of one colour at these times, in ms.
  std::string Matroska(const std::vector<int64_t>& times) {
    const std::string path = (folder_ / "rateless.mkv").string();
    AVFormatContext* file = nullptr;
    EXPECT_GE(avformat_alloc_output_context2(&file, nullptr, "matroska", path.c_str()), 0);
    AVStream* stream = avformat_new_stream(file, nullptr);
    AVCodecParameters& video = *stream->codecpar;
    video.codec_type = AVMEDIA_TYPE_VIDEO;
    video.codec_id = AV_CODEC_ID_RAWVIDEO;
    video.format = AV_PIX_FMT_YUV420P;
    video.codec_tag = avcodec_pix_fmt_to_codec_tag(AV_PIX_FMT_YUV420P);
    video.width = 48;
    video.height = 32;
    EXPECT_GE(avio_open(&file->pb, path.c_str(), AVIO_FLAG_WRITE), 0);
    EXPECT_GE(avformat_write_header(file, nullptr), 0);
    for (const int64_t time : times) {
      FfmpegPtr<AVPacket> packet(av_packet_alloc());
      EXPECT_EQ(av_new_packet(packet.get(), 48 * 32 * 3 / 2), 0);
      std::fill_n(packet->data, packet->size, uint8_t{99});
      packet->pts = packet->dts = time;
      packet->flags |= AV_PKT_FLAG_KEY;
      EXPECT_GE(av_write_frame(file, packet.get()), 0);
    }
    av_write_trailer(file);
    avio_closep(&file->pb);
    avformat_free_context(file);
    return path;
  }

  std::unique_ptr<StallingSender> SendThreeFrames() {
    return std::make_unique<StallingSender>(
        ReadFile(RawVideo(48, 32, 3, "C420jpeg", 24, 16)).value());
  }

  fs::path folder_;
};

TEST_F(FfmpegSourceTest, SamplesArriveUnchangedWithoutACopy) {
  auto source = OpenFfmpegSource(RawVideo(48, 32, 3, "C420jpeg XCOLORRANGE=FULL", 24, 16));
  ASSERT_TRUE(source) << source.error().message;
  const SourceInfo& info = (*source)->info();
  EXPECT_EQ(info.width, 48);
  EXPECT_EQ(info.height, 32);
  EXPECT_DOUBLE_EQ(info.fps, 10);
  EXPECT_EQ(info.name, "raw");
  EXPECT_FALSE(info.live);
  EXPECT_EQ(info.color, (ColorSpec{ColorMatrix::kBt601, ColorRange::kFull}));
  for (int i = 0; i < 3; ++i) {
    auto frame = (*source)->Next();
    ASSERT_TRUE(frame && *frame);
    EXPECT_EQ((*frame)->id, static_cast<FrameId>(i));
    EXPECT_EQ((*frame)->pts, i * 100000);
    EXPECT_EQ((*frame)->MutablePlane(0), nullptr);  // the decoder's memory
    for (int p = 0; p < 3; ++p) {
      const PlaneView& plane = (*frame)->plane(p);
      for (int y = 0; y < plane.height; ++y) {
        for (int x = 0; x < plane.width; ++x) ASSERT_EQ(plane.At(x, y), Value(i, p, x, y));
      }
    }
  }
  EXPECT_EQ((*source)->Next().value(), std::nullopt);
  EXPECT_EQ((*source)->Next().value(), std::nullopt);
}

TEST_F(FfmpegSourceTest, FramesOutliveTheSource) {
  auto source = OpenFfmpegSource(RawVideo(48, 32, 2, "C420jpeg", 24, 16));
  ASSERT_TRUE(source);
  const Frame frame = **(*source)->Next();
  const uint64_t hash = HashPixels(frame);
  source->reset();
  EXPECT_EQ(HashPixels(frame), hash);
  EXPECT_EQ(frame.y().At(5, 6), Value(0, 0, 5, 6));
}

TEST_F(FfmpegSourceTest, OddSizesAreCropped) {
  auto source = OpenFfmpegSource(RawVideo(35, 21, 1, "C420jpeg", 18, 11));
  ASSERT_TRUE(source) << source.error().message;
  EXPECT_EQ((*source)->info().width, 34);
  EXPECT_EQ((*source)->info().height, 20);
  const auto frame = (*source)->Next();
  ASSERT_TRUE(frame && *frame);
  EXPECT_EQ((*frame)->plane(1).width, 17);
  EXPECT_EQ((*frame)->plane(2).height, 10);
  EXPECT_EQ((*frame)->y().At(33, 19), Value(0, 0, 33, 19));
  EXPECT_EQ((*frame)->plane(2).At(16, 9), Value(0, 2, 16, 9));
}

TEST_F(FfmpegSourceTest, OtherChromaFormatsKeepLumaRangeAndMatrix) {
  for (const auto& [header, width, height] : {std::tuple{"C422 XCOLORRANGE=LIMITED", 32, 32},
                                              std::tuple{"C444 XCOLORRANGE=FULL", 64, 32}}) {
    auto source = OpenFfmpegSource(RawVideo(64, 32, 1, header, width, height));
    ASSERT_TRUE(source) << source.error().message;
    const bool full = std::string(header).find("FULL") != std::string::npos;
    EXPECT_EQ((*source)->info().color.range, full ? ColorRange::kFull : ColorRange::kLimited);
    const auto frame = (*source)->Next();
    ASSERT_TRUE(frame && *frame);
    double chroma = 0;
    for (int y = 0; y < 32; ++y) {
      for (int x = 0; x < 64; ++x) ASSERT_EQ((*frame)->y().At(x, y), Value(0, 0, x, y));
    }
    for (int y = 0; y < 16; ++y) {
      for (int x = 0; x < 32; ++x) chroma += (*frame)->plane(2).At(x, y);
    }
    EXPECT_NEAR(chroma / (16 * 32), 40 + 60 + 8, 1.0);  // the mean stays
  }
}

TEST_F(FfmpegSourceTest, GreyUsesAllValues) {
  // A portable grey map: 32x16, the value is the column times 8.
  std::string picture = "P5\n32 16\n255\n";
  for (int i = 0; i < 32 * 16; ++i) picture.push_back(static_cast<char>(i % 32 * 8));
  ASSERT_TRUE(WriteFile(folder_ / "grey.pgm", picture));
  auto source = OpenFfmpegSource((folder_ / "grey.pgm").string());
  ASSERT_TRUE(source) << source.error().message;
  EXPECT_EQ((*source)->info().color.range, ColorRange::kFull);
  const auto frame = (*source)->Next();
  ASSERT_TRUE(frame && *frame);
  for (int x = 0; x < 32; ++x) EXPECT_EQ((*frame)->y().At(x, 7), x * 8);
  EXPECT_EQ((*frame)->plane(1).At(3, 3), 128);
}

TEST_F(FfmpegSourceTest, ChoosesFramesAndShrinks) {
  auto source =
      OpenFfmpegSource(RawVideo(64, 48, 10, "C420jpeg", 32, 24),
                       {.max_height = 24, .first_frame = 2, .max_frames = 3, .frame_step = 3});
  ASSERT_TRUE(source) << source.error().message;
  EXPECT_EQ((*source)->info().width, 32);
  EXPECT_NEAR((*source)->info().fps, 10.0 / 3, 1e-9);
  EXPECT_EQ((*source)->info().frame_count, 3);
  for (int k = 0; k < 3; ++k) {  // 2, 5, 8
    const auto frame = (*source)->Next();
    ASSERT_TRUE(frame && *frame);
    EXPECT_EQ((*frame)->id, static_cast<FrameId>(k));
    EXPECT_EQ((*frame)->pts, k * 300000);
    const int i = 2 + 3 * k;
    const int sum = Value(i, 0, 8, 6) + Value(i, 0, 9, 6) + Value(i, 0, 8, 7) + Value(i, 0, 9, 7);
    EXPECT_EQ((*frame)->y().At(4, 3), (sum + 2) / 4);
  }
  EXPECT_EQ((*source)->Next().value(), std::nullopt);
}

// The milliseconds in which a file counts are no frame rate: nothing would keep up with 1000 Hz.
TEST_F(FfmpegSourceTest, TheClockOfAFileIsNotItsRate) {
  std::vector<int64_t> times;
  for (int64_t i = 0, time = 0; i < 40; ++i) times.push_back(time += 5 + i * i * 7 % 31);
  auto source = OpenFfmpegSource(Matroska(times));
  ASSERT_TRUE(source) << source.error().message;
  EXPECT_GE((*source)->info().fps, 10);
  EXPECT_LE((*source)->info().fps, 100);
  for (const int64_t time : times) {
    const auto frame = (*source)->Next();
    ASSERT_TRUE(frame && *frame);
    EXPECT_EQ((*frame)->pts, (time - times[0]) * 1000);
  }
}

TEST_F(FfmpegSourceTest, UnsaidMatrixFollowsTheSize) {
  EXPECT_EQ((*OpenFfmpegSource(RawVideo(64, 576, 1, "C420jpeg", 32, 288)))->info().color.matrix,
            ColorMatrix::kBt601);
  EXPECT_EQ((*OpenFfmpegSource(RawVideo(64, 578, 1, "C420jpeg", 32, 289)))->info().color.matrix,
            ColorMatrix::kBt709);
}

// As after a camera's restart: samples would be shown in wrong colours.
TEST(PictureConverterTest, ColoursThatChangeAreAnError) {
  const auto picture = [](AVColorSpace matrix, AVColorRange range) {
    FfmpegPtr<AVFrame> frame(av_frame_alloc());
    frame->format = AV_PIX_FMT_YUV420P;
    frame->width = 64;
    frame->height = 48;
    frame->colorspace = matrix;
    frame->color_range = range;
    EXPECT_EQ(av_frame_get_buffer(frame.get(), 0), 0);
    return frame;
  };
  auto converter =
      PictureConverter::For(*picture(AVCOL_SPC_BT709, AVCOL_RANGE_MPEG), "camera").value();
  EXPECT_TRUE(converter.Convert(*picture(AVCOL_SPC_BT709, AVCOL_RANGE_MPEG)));
  const auto other_matrix = converter.Convert(*picture(AVCOL_SPC_SMPTE170M, AVCOL_RANGE_MPEG));
  ASSERT_FALSE(other_matrix);
  EXPECT_EQ(other_matrix.error().message,
            "the colours changed from bt709 tv to smpte170m tv; open the source again");
  EXPECT_FALSE(converter.Convert(*picture(AVCOL_SPC_BT709, AVCOL_RANGE_JPEG)));
  EXPECT_FALSE(PictureConverter::For(*picture(AVColorSpace(100), AVCOL_RANGE_MPEG), "camera"));
}

TEST_F(FfmpegSourceTest, NamesOfFilesAreNoProtocolsOrPatterns) {
  const std::string video = RawVideo(48, 32, 3, "C420jpeg", 24, 16);
  const fs::path before = fs::current_path();
  fs::current_path(folder_);
  fs::rename(video, "2024-01-01T12:30:00.y4m");
  const auto source = OpenFfmpegSource("2024-01-01T12:30:00.y4m");
  fs::current_path(before);
  ASSERT_TRUE(source) << source.error().message;
  EXPECT_EQ((*source)->info().name, "2024-01-01T12:30:00");

  ASSERT_TRUE(WriteFile(folder_ / "p%03d.pgm", "P5\n32 16\n255\n" + std::string(32 * 16, 'a')));
  const auto picture = OpenFfmpegSource((folder_ / "p%03d.pgm").string());
  ASSERT_TRUE(picture) << picture.error().message;
  EXPECT_TRUE((*picture)->Next().value());
  EXPECT_FALSE((*picture)->Next().value());
}

// A pattern of which no such file exists is one.
TEST_F(FfmpegSourceTest, NumberedPictures) {
  for (int i = 1; i <= 3; ++i) {
    ASSERT_TRUE(WriteFile(folder_ / fmt::format("n{}.pgm", i),
                          "P5\n32 16\n255\n" + std::string(32 * 16, 'a')));
  }
  const auto source = OpenFfmpegSource((folder_ / "n%d.pgm").string());
  ASSERT_TRUE(source) << source.error().message;
  for (int i = 0; i < 3; ++i) EXPECT_TRUE((*source)->Next().value());
  EXPECT_FALSE((*source)->Next().value());
}

TEST_F(FfmpegSourceTest, ProblemsAreSaid) {
  const auto missing = OpenFfmpegSource((folder_ / "none.mp4").string());
  ASSERT_FALSE(missing);
  EXPECT_NE(missing.error().message.find("No such file"), std::string::npos);
  ASSERT_TRUE(WriteFile(folder_ / "text.mp4", "this is not a video"));
  EXPECT_FALSE(OpenFfmpegSource((folder_ / "text.mp4").string()));
  ASSERT_TRUE(WriteFile(folder_ / "empty.mp4", ""));
  EXPECT_FALSE(OpenFfmpegSource((folder_ / "empty.mp4").string()));
  EXPECT_FALSE(OpenFfmpegSource("/dev/video99"));
  EXPECT_FALSE(OpenFfmpegSource("nothing://host/path"));
  const auto small = OpenFfmpegSource(RawVideo(14, 14, 1, "C420jpeg", 7, 7));
  ASSERT_FALSE(small);
  EXPECT_NE(small.error().message.find("14x14"), std::string::npos);
}

TEST_F(FfmpegSourceTest, AUrlThatSendsNothingMoreIsAnError) {
  const auto sender = SendThreeFrames();
  auto source = OpenFfmpegSource(sender->url(), {.patience_s = 0.5});
  ASSERT_TRUE(source) << source.error().message;
  for (int i = 0; i < 3; ++i) ASSERT_TRUE((*source)->Next().value());
  const auto next = (*source)->Next();
  ASSERT_FALSE(next);
  EXPECT_NE(next.error().message.find("it sent nothing for 0.5 s"), std::string::npos)
      << next.error().message;
}

TEST_F(FfmpegSourceTest, AUrlThatSendsSlowlyIsNone) {
  // Each picture after the first takes more than a second.
  const StallingSender sender(ReadFile(RawVideo(48, 32, 3, "C420jpeg", 24, 16)).value(),
                              /*at_once=*/2500);
  auto source = OpenFfmpegSource(sender.url(), {.patience_s = 0.5});
  ASSERT_TRUE(source) << source.error().message;
  for (int i = 0; i < 3; ++i) {
    const auto next = (*source)->Next();
    ASSERT_TRUE(next) << next.error().message;
    EXPECT_TRUE(*next);
  }
}

// As IP cameras send it. FFmpeg would make up 25 pictures a second.
TEST_F(FfmpegSourceTest, MotionJpegOverHttpIsLive) {
  const std::string jpeg = NoisyJpeg();
  std::string parts;
  for (int i = 0; i < 5; ++i) {
    parts += fmt::format("--next\r\nContent-Type: image/jpeg\r\nContent-Length: {}\r\n\r\n{}\r\n",
                         jpeg.size(), jpeg);
  }
  const size_t one = parts.size() / 5;
  const std::string answer =
      "HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=next\r\n\r\n" + parts;
  // FFmpeg reads 2 KiB before it looks at them, so three pictures come at once; the others take
  // 50 ms for each 100 bytes.
  const StallingSender sender(Bytes(answer.begin(), answer.end()), answer.size() - 2 * one);
  auto source = OpenFfmpegSource("http" + sender.url().substr(3));
  ASSERT_TRUE(source) << source.error().message;
  EXPECT_TRUE((*source)->info().live);
  EXPECT_EQ((*source)->info().frame_count, -1);
  Micros last = -1;
  for (int i = 0; i < 5; ++i) {
    const auto frame = (*source)->Next();
    ASSERT_TRUE(frame && *frame);
    if (i >= 3) {
      EXPECT_GT((*frame)->pts - last, 150'000);
    }
    last = (*frame)->pts;
  }
}

TEST_F(FfmpegSourceTest, InterruptEndsANextThatWaits) {
  auto sender = SendThreeFrames();
  auto source = OpenFfmpegSource(sender->url(), {.patience_s = 3600});
  ASSERT_TRUE(source) << source.error().message;
  for (int i = 0; i < 3; ++i) ASSERT_TRUE((*source)->Next().value());
  auto next = std::async(std::launch::async, [&] { return (*source)->Next(); });
  (*source)->Interrupt();
  EXPECT_EQ(next.wait_for(std::chrono::seconds(20)), std::future_status::ready);
  sender.reset();
  EXPECT_EQ(next.get().value(), std::nullopt);
}

TEST_F(FfmpegSourceTest, OpeningEndsWhenItIsStopped) {
  const StallingSender sender({});  // never sends anything
  std::atomic<bool> stop{false};
  auto opening = std::async(std::launch::async, [&] {
    return OpenFfmpegSource(sender.url(), {.patience_s = 3600, .stop = &stop});
  });
  EXPECT_EQ(opening.wait_for(std::chrono::milliseconds(200)), std::future_status::timeout);
  stop = true;
  ASSERT_EQ(opening.wait_for(std::chrono::seconds(20)), std::future_status::ready);
  const auto source = opening.get();
  ASSERT_FALSE(source);
  EXPECT_NE(source.error().message.find("interrupted"), std::string::npos)
      << source.error().message;
}

TEST_F(FfmpegSourceTest, PasswordsStayOutOfNamesAndErrors) {
  const auto refused = OpenFfmpegSource("rtsp://user:secret@127.0.0.1:1/stream?key=hidden");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message.find("secret"), std::string::npos);
  EXPECT_EQ(refused.error().message.find("hidden"), std::string::npos);
  EXPECT_NE(refused.error().message.find("127.0.0.1:1/stream"), std::string::npos);
  for (const char* url :
       {"tcp://127.0.0.1:1?key=secret@hidden", "tcp://127.0.0.1:1?key=secret@hidden/third&x=1",
        "tcp://user:secret@127.0.0.1:1#hidden"}) {
    const auto other = OpenFfmpegSource(url);
    ASSERT_FALSE(other) << url;
    EXPECT_EQ(other.error().message.find("secret"), std::string::npos) << other.error().message;
    EXPECT_EQ(other.error().message.find("hidden"), std::string::npos) << other.error().message;
    EXPECT_NE(other.error().message.find("127.0.0.1:1"), std::string::npos);
  }
}

TEST_F(FfmpegSourceTest, RealVideoKeepsSizeColourAndCount) {
  const fs::path data = DataFolder();
  if (data.empty()) GTEST_SKIP() << "skipped: no STAC_DATA";
  auto kitti = OpenFfmpegSource((data / "video/kitti_0926_1242x374_10fps_lossless.mkv").string());
  ASSERT_TRUE(kitti) << kitti.error().message;
  EXPECT_EQ((*kitti)->info().width, 1242);
  EXPECT_EQ((*kitti)->info().height, 374);
  EXPECT_EQ(ToString((*kitti)->info().color), "bt709/limited");
  EXPECT_DOUBLE_EQ((*kitti)->info().fps, 10);
  EXPECT_EQ((*kitti)->info().frame_count, 78);
  int count = 0;
  Micros last = -1;
  while (true) {
    const auto frame = (*kitti)->Next();
    ASSERT_TRUE(frame) << frame.error().message;
    if (!*frame) break;
    EXPECT_GT((*frame)->pts, last);
    last = (*frame)->pts;
    ++count;
  }
  EXPECT_EQ(count, 78);
  EXPECT_EQ(last, 7'700'000);
  auto highway = OpenFfmpegSource((data / "video/udacity_highway_960x540_25fps.mp4").string(),
                                  {.max_frames = 1});
  ASSERT_TRUE(highway);
  EXPECT_EQ(ToString((*highway)->info().color), "bt601/limited");
}

// Cutting or damaging a real file anywhere must not crash; most of it still plays.
TEST_F(FfmpegSourceTest, DamagedFilesNeverCrash) {
  const fs::path data = DataFolder();
  if (data.empty()) GTEST_SKIP() << "skipped: no STAC_DATA";
  const auto whole = ReadFile(data / "video/udacity_highway_960x540_25fps.mp4");
  ASSERT_TRUE(whole);
  std::mt19937 random(3);
  int opened = 0;
  for (int round = 0; round < 6; ++round) {
    Bytes bytes = *whole;
    for (int k = 0; k < 2000; ++k) bytes[random() % bytes.size()] = static_cast<uint8_t>(random());
    if (round % 2 == 1) bytes.resize(random() % bytes.size());
    ASSERT_TRUE(WriteFile(folder_ / "damaged.mp4", ByteSpan(bytes)));
    auto source = OpenFfmpegSource((folder_ / "damaged.mp4").string(), {.max_frames = 20});
    if (!source) continue;
    ++opened;
    for (auto frame = (*source)->Next(); frame && *frame; frame = (*source)->Next()) {
      ASSERT_EQ((*frame)->width(), 960);
    }
  }
  RecordProperty("opened", opened);
}

}  // namespace
}  // namespace stac
