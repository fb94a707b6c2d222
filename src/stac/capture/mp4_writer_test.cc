#include "stac/capture/mp4_writer.h"

#include <gtest/gtest.h>
#include <unistd.h>

extern "C" {
#include <libavcodec/bsf.h>
}

#include <vector>

#include "stac/base/file.h"
#include "stac/capture/ffmpeg_internal.h"
#include "stac/capture/ffmpeg_source.h"

namespace stac {
namespace {

namespace fs = std::filesystem;

// The access units of a Matroska or MP4 file as Annex B, in file order.
std::vector<Bytes> AccessUnits(const fs::path& path, size_t count) {
  std::vector<Bytes> units;
  AVFormatContext* context = nullptr;
  if (avformat_open_input(&context, path.c_str(), nullptr, nullptr) < 0) return units;
  const FfmpegPtr<AVFormatContext> demuxer(context);
  AVBSFContext* filter = nullptr;
  av_bsf_alloc(av_bsf_get_by_name("h264_mp4toannexb"), &filter);
  avcodec_parameters_copy(filter->par_in, context->streams[0]->codecpar);
  av_bsf_init(filter);
  const FfmpegPtr<AVPacket> packet(av_packet_alloc());
  while (units.size() < count && av_read_frame(context, packet.get()) >= 0) {
    av_bsf_send_packet(filter, packet.get());
    while (av_bsf_receive_packet(filter, packet.get()) == 0) {
      units.emplace_back(packet->data, packet->data + packet->size);
      av_packet_unref(packet.get());
    }
  }
  av_bsf_free(&filter);
  return units;
}

class Mp4WriterTest : public testing::Test {
 protected:
  Mp4WriterTest()
      : folder_(fs::path(testing::TempDir()) / fmt::format("stac_mp4_writer_test_{}", getpid())) {
    fs::remove_all(folder_);
  }
  ~Mp4WriterTest() override { fs::remove_all(folder_); }
  fs::path folder_;
};

TEST_F(Mp4WriterTest, PicturesComeBackBitForBit) {
  const fs::path data = DataFolder();
  if (data.empty()) GTEST_SKIP() << "skipped: no STAC_DATA";
  const fs::path original = data / "video/kitti_0926_1242x374_10fps_lossless.mkv";
  const std::vector<Bytes> units = AccessUnits(original, 6);
  ASSERT_EQ(units.size(), 6u);
  const fs::path path = folder_ / "deep" / "out.mp4";
  auto writer = MakeMp4Writer(path, 1242, 374, 10);
  ASSERT_TRUE(writer) << writer.error().message;
  for (size_t i = 0; i < units.size(); ++i) {
    ASSERT_TRUE((*writer)->Write(units[i], 5'000'000 + static_cast<Micros>(i) * 100'000, i == 0));
    EXPECT_FALSE(fs::exists(path));
  }
  ASSERT_TRUE((*writer)->Finish());
  writer->reset();
  EXPECT_TRUE(fs::exists(path));
  EXPECT_FALSE(fs::exists(path.string() + ".part"));

  // The index lies in front of the pictures.
  const Bytes file = *ReadFile(path);
  const std::string_view text = AsText(file);
  EXPECT_LT(text.find("moov"), text.find("mdat"));

  auto expected = OpenFfmpegSource(original.string());
  auto written = OpenFfmpegSource(path.string());
  ASSERT_TRUE(expected && written);
  EXPECT_DOUBLE_EQ((*written)->info().fps, 10);
  EXPECT_EQ((*written)->info().frame_count, 6);
  for (int i = 0; i < 6; ++i) {
    const auto a = (*expected)->Next();
    const auto b = (*written)->Next();
    ASSERT_TRUE(a && *a && b && *b);
    EXPECT_TRUE(SamePixels(**a, **b));
    EXPECT_EQ((*b)->pts, i * 100'000);
  }
}

TEST_F(Mp4WriterTest, NothingIsLeftOfAStreamWithoutParameterSets) {
  const fs::path path = folder_ / "out.mp4";
  auto writer = MakeMp4Writer(path, 64, 64, 15);
  ASSERT_TRUE(writer);
  const Bytes slice = {0, 0, 0, 1, 0x41, 0x9A, 0, 0, 1};
  EXPECT_TRUE((*writer)->Write(slice, 0, false));
  EXPECT_TRUE((*writer)->Write({}, 0, false));
  const Status finished = (*writer)->Finish();
  ASSERT_FALSE(finished);
  EXPECT_NE(finished.error().message.find("parameter sets"), std::string::npos);
  writer->reset();
  EXPECT_TRUE(fs::is_empty(folder_));
}

TEST_F(Mp4WriterTest, AfterAHeaderThatFailedEverythingIsAnError) {
  auto writer = MakeMp4Writer(folder_ / "a.mp4", 0, 0, 15);
  ASSERT_TRUE(writer);
  const Bytes access_unit = {0, 0, 0,    1, 0x67, 66, 0, 10, 1,    0, 0,
                             0, 1, 0x68, 1, 0,    0,  0, 1,  0x65, 1};
  EXPECT_FALSE((*writer)->Write(access_unit, 0, true));
  EXPECT_FALSE((*writer)->Write(access_unit, 1, true));
  EXPECT_FALSE((*writer)->Finish());
  writer->reset();
  EXPECT_TRUE(fs::is_empty(folder_));
}

TEST_F(Mp4WriterTest, UnusableFoldersAndRatesAreErrors) {
  EXPECT_FALSE(MakeMp4Writer("/proc/none/out.mp4", 64, 64, 15));
  EXPECT_FALSE(MakeMp4Writer(folder_ / "a.mp4", 64, 64, 0));
}

}  // namespace
}  // namespace stac
