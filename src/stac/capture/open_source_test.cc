#include <gtest/gtest.h>
#include <unistd.h>

#include "stac/base/file.h"
#include "stac/capture/frame_source.h"
#include "stac/capture/image_io.h"
#include "stac/capture/synthetic_scene.h"

namespace stac {
namespace {

TEST(OpenSourceTest, SyntheticLocations) {
  auto source = OpenSource("synthetic:65x49@12.5:7", {.first_frame = 3, .max_frames = 2});
  ASSERT_TRUE(source) << source.error().message;
  EXPECT_EQ((*source)->info().width, 64);
  EXPECT_EQ((*source)->info().height, 48);
  EXPECT_DOUBLE_EQ((*source)->info().fps, 12.5);
  EXPECT_EQ((*source)->info().frame_count, 2);
  const auto frame = (*source)->Next();
  ASSERT_TRUE(frame && *frame);
  const SyntheticScene scene({.width = 64, .height = 48, .fps = 12.5, .seed = 7});
  EXPECT_TRUE(SamePixels(**frame, scene.Render(3).frame));
  EXPECT_TRUE((*source)->Labels());
  EXPECT_EQ((*OpenSource("synthetic:64x48@10"))->info().frame_count, 300);
}

TEST(OpenSourceTest, BadLocationsAreSaid) {
  for (const char* location : {"", "synthetic:", "synthetic:64x48", "synthetic:64x48@0",
                               "synthetic:8x8@10", "synthetic:64x48@10:1x", "synthetic:99999x10@10",
                               "synthetic:64x48@-3", "/nowhere/video.mp4"}) {
    const auto source = OpenSource(location);
    ASSERT_FALSE(source) << location;
    EXPECT_GT(source.error().message.size(), 20u);
  }
}

// A picture is a video of one frame; FFmpeg and our own reader must agree on it.
TEST(OpenSourceTest, PictureFilesAndFoldersGiveTheSameFrame) {
  const auto folder =
      std::filesystem::path(testing::TempDir()) / fmt::format("stac_open_source_test_{}", getpid());
  RgbImage image(67, 45);
  for (int y = 0; y < 45; ++y) {
    for (int x = 0; x < 67; ++x) {
      image(x, y) = {static_cast<uint8_t>(x * 7), static_cast<uint8_t>(y * 11),
                     static_cast<uint8_t>(x * y)};
    }
  }
  ASSERT_TRUE(WritePng(folder / "a.png", image));
  auto file = OpenSource((folder / "a.png").string());
  auto whole = OpenSource(folder.string());
  ASSERT_TRUE(file) << file.error().message;
  ASSERT_TRUE(whole) << whole.error().message;
  EXPECT_TRUE(SamePixels(**(*file)->Next(), **(*whole)->Next()));
  std::filesystem::remove_all(folder);
}

TEST(OpenSourceTest, CamVidIsLabelled) {
  const auto data = DataFolder();
  if (data.empty()) GTEST_SKIP() << "skipped: no STAC_DATA";
  auto source = OpenSource((data / "camvid/seq_0016E5_15fps").string());
  ASSERT_TRUE(source) << source.error().message;
  EXPECT_EQ((*source)->info().width, 480);
  EXPECT_EQ((*source)->info().height, 360);
  EXPECT_EQ((*source)->info().name, "seq_0016E5_15fps");
  int count = 0;
  while (true) {
    const auto frame = (*source)->Next();
    ASSERT_TRUE(frame) << frame.error().message;
    if (!*frame) break;
    const auto labels = (*source)->Labels();
    ASSERT_TRUE(labels);
    ASSERT_TRUE(labels->SameSize(480, 360));
    for (const uint8_t label : *labels) ASSERT_LE(label, 11);
    ++count;
  }
  EXPECT_EQ(count, 101);
  auto train = OpenSource((data / "camvid/train/images").string(), {.max_frames = 2});
  ASSERT_TRUE(train) << train.error().message;
  const auto jpeg = (*train)->Next();
  ASSERT_TRUE(jpeg && *jpeg);
  EXPECT_EQ((*jpeg)->width(), 480);
  EXPECT_TRUE((*train)->Labels());
}

}  // namespace
}  // namespace stac
