#include "stac/capture/image_folder.h"

#include <gtest/gtest.h>
#include <spdlog/sinks/ostream_sink.h>
#include <turbojpeg.h>
#include <unistd.h>

#include <sstream>

#include "stac/base/file.h"
#include "stac/base/log.h"
#include "stac/capture/image_io.h"

namespace stac {
namespace {

namespace fs = std::filesystem;

class ImageFolderTest : public testing::Test {
 protected:
  ImageFolderTest()
      : root_(fs::path(testing::TempDir()) / fmt::format("stac_image_folder_test_{}", getpid())) {
    fs::remove_all(root_);
  }
  ~ImageFolderTest() override { fs::remove_all(root_); }

  void Picture(const fs::path& name, uint8_t grey, int width = 20, int height = 16) {
    ASSERT_TRUE(WritePng(root_ / name, RgbImage(width, height, Rgb{grey, grey, grey})));
  }
  void Labels(const fs::path& name, uint8_t label, int width = 20, int height = 16) {
    ASSERT_TRUE(WritePng(root_ / name, LabelMap(width, height, label)));
  }

  fs::path root_;
};

Bytes GreyJpeg() {
  const RgbImage image(20, 16, Rgb{99, 99, 99});
  unsigned char* data = nullptr;
  unsigned long size = 0;
  tjhandle jpeg = tjInitCompress();
  tjCompress2(jpeg, &image.data()->r, 20, 0, 16, TJPF_RGB, &data, &size, TJSAMP_444, 98, 0);
  Bytes bytes(data, data + size);
  tjFree(data);
  tjDestroy(jpeg);
  return bytes;
}

// Luma of a grey in bt709/limited, the colour of image folders.
int Luma(int grey) { return (219 * grey + 127) / 255 + 16; }

TEST_F(ImageFolderTest, CamVidLayoutFromEitherFolder) {
  Picture("images/b.png", 100);
  Picture("images/a.png", 50);
  Labels("labels/a.png", 3);
  Labels("labels/b.png", 11);
  for (const fs::path& given : {root_, root_ / "images", root_ / "images" / ""}) {
    auto source = OpenImageFolder(given, {.folder_fps = 10});
    ASSERT_TRUE(source) << source.error().message;
    EXPECT_EQ((*source)->info().frame_count, 2);
    EXPECT_DOUBLE_EQ((*source)->info().fps, 10);
    EXPECT_FALSE((*source)->Labels());
    const auto first = (*source)->Next();
    ASSERT_TRUE(first && *first);
    EXPECT_EQ((*first)->y().At(0, 0), Luma(50));
    EXPECT_EQ((*source)->Labels(), LabelMap(20, 16, 3));
    const auto second = (*source)->Next();
    ASSERT_TRUE(second && *second);
    EXPECT_EQ((*second)->id, 1u);
    EXPECT_EQ((*second)->pts, 100000);
    EXPECT_EQ((*source)->Labels(), LabelMap(20, 16, 11));
    EXPECT_EQ((*source)->Next().value(), std::nullopt);
  }
}

TEST_F(ImageFolderTest, CityscapesLayoutMapsIdsToTrainIds) {
  Picture("leftImg8bit/val/ulm/ulm_1_leftImg8bit.png", 10);
  Picture("leftImg8bit/val/bonn/bonn_1_leftImg8bit.png", 20);
  Labels("gtFine/val/ulm/ulm_1_gtFine_labelIds.png", 26);  // car
  Labels("gtFine/val/bonn/bonn_1_gtFine_labelTrainIds.png", 13);
  Labels("gtFine/val/bonn/bonn_1_gtFine_labelIds.png", 3);  // out of use: train ids exist
  for (const fs::path& given : {root_, root_ / "leftImg8bit", root_ / "leftImg8bit/val"}) {
    auto source = OpenImageFolder(given);
    ASSERT_TRUE(source) << source.error().message;
    EXPECT_EQ((*source)->info().frame_count, 2);
    for (const int grey : {20, 10}) {  // bonn before ulm
      const auto frame = (*source)->Next();
      ASSERT_TRUE(frame && *frame);
      EXPECT_EQ((*frame)->y().At(3, 3), Luma(grey));
      EXPECT_EQ((*source)->Labels(), LabelMap(20, 16, 13));
    }
  }
  auto city = OpenImageFolder(root_ / "leftImg8bit/val/ulm");
  ASSERT_TRUE(city);
  EXPECT_EQ((*city)->info().frame_count, 1);
}

TEST_F(ImageFolderTest, IdsWithoutTrainIdAreUnlabelled) {
  Picture("leftImg8bit/val/ulm/ulm_1_leftImg8bit.png", 10);
  Labels("gtFine/val/ulm/ulm_1_gtFine_labelIds.png", 4);
  auto source = OpenImageFolder(root_);
  ASSERT_TRUE(source);
  ASSERT_TRUE((*source)->Next());
  EXPECT_EQ((*source)->Labels(), LabelMap(20, 16, kUnlabelled));
}

TEST_F(ImageFolderTest, ChoosesCropsAndShrinks) {
  for (int i = 0; i < 8; ++i) {
    Picture(fmt::format("train/{}.png", i), static_cast<uint8_t>(20 * i), 65, 49);
    Labels(fmt::format("trainannot/{}.png", i), static_cast<uint8_t>(i), 65, 49);
  }
  auto source = OpenImageFolder(
      root_ / "train", {.max_width = 32, .first_frame = 1, .max_frames = 2, .frame_step = 3});
  ASSERT_TRUE(source) << source.error().message;
  EXPECT_EQ((*source)->info().width, 32);
  EXPECT_EQ((*source)->info().height, 24);
  EXPECT_EQ((*source)->info().frame_count, 2);
  EXPECT_DOUBLE_EQ((*source)->info().fps, 5);
  for (const int i : {1, 4}) {
    const auto frame = (*source)->Next();
    ASSERT_TRUE(frame && *frame);
    EXPECT_EQ((*frame)->y().At(31, 23), Luma(20 * i));
    EXPECT_EQ((*source)->Labels(), LabelMap(32, 24, static_cast<uint8_t>(i)));
  }
}

TEST_F(ImageFolderTest, ProblemsAreSaid) {
  fs::create_directories(root_ / "empty");
  auto empty = OpenImageFolder(root_ / "empty");
  ASSERT_FALSE(empty);
  EXPECT_NE(empty.error().message.find("holds no PNG or JPEG pictures"), std::string::npos);
  EXPECT_FALSE(OpenImageFolder(root_ / "missing"));

  Picture("sizes/a.png", 1, 20, 16);
  Picture("sizes/b.png", 1, 22, 16);
  auto sizes = OpenImageFolder(root_ / "sizes");
  ASSERT_TRUE(sizes);
  ASSERT_TRUE((*sizes)->Next());
  const auto second = (*sizes)->Next();
  ASSERT_FALSE(second);
  EXPECT_NE(second.error().message.find("22x16"), std::string::npos);
  EXPECT_FALSE(OpenImageFolder(root_ / "sizes", {.first_frame = 2}));
  const auto excluded = OpenImageFolder(root_ / "sizes", {.exclude = ".png"});
  ASSERT_FALSE(excluded);
  EXPECT_NE(excluded.error().message.find("left out"), std::string::npos);
  const auto none = OpenImageFolder(root_ / "sizes", {.max_frames = 0});
  ASSERT_FALSE(none);
  EXPECT_NE(none.error().message.find("none of"), std::string::npos);

  Picture("small/a.png", 1, 12, 12);
  EXPECT_FALSE(OpenImageFolder(root_ / "small"));
}

// The least JPEG data that say how to turn them, put into a picture.
Bytes Turned(Bytes jpeg) {
  constexpr std::string_view kExif{
      "\xFF\xE1\0\x1E"
      "Exif\0\0"
      "II\x2A\0\x08\0\0\0"
      "\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0",
      32};
  jpeg.insert(jpeg.begin() + 2, kExif.begin(), kExif.end());
  return jpeg;
}

TEST_F(ImageFolderTest, TurnedPicturesAreSaidOnce) {
  for (const char* name : {"a.jpg", "b.jpg", "c.jpg"}) {
    const Bytes jpeg = GreyJpeg();
    ASSERT_TRUE(WriteFile(root_ / name, ByteSpan(name[0] == 'a' ? jpeg : Turned(jpeg))));
  }
  std::ostringstream log;
  auto& sinks = spdlog::default_logger()->sinks();
  sinks.push_back(std::make_shared<spdlog::sinks::ostream_sink_mt>(log));
  auto source = OpenImageFolder(root_);
  ASSERT_TRUE(source) << source.error().message;
  for (int i = 0; i < 3; ++i) ASSERT_TRUE((*source)->Next().value());
  sinks.pop_back();
  EXPECT_NE(log.str().find("b.jpg: viewers turn it (EXIF orientation 6)"), std::string::npos);
  EXPECT_EQ(log.str().find("c.jpg"), std::string::npos);
}

TEST_F(ImageFolderTest, HiddenFilesAreNoPictures) {
  Picture("plain/a.png", 1);
  ASSERT_TRUE(WriteFile(root_ / "plain/._a.png", "what macOS leaves behind"));
  Picture("leftImg8bit/ulm/ulm_1_leftImg8bit.png", 1);
  ASSERT_TRUE(WriteFile(root_ / "leftImg8bit/ulm/._ulm_1_leftImg8bit.png", "the same"));
  for (const char* folder : {"plain", "leftImg8bit"}) {
    auto source = OpenImageFolder(root_ / folder);
    ASSERT_TRUE(source) << source.error().message;
    EXPECT_EQ((*source)->info().frame_count, 1);
  }
}

TEST_F(ImageFolderTest, WrongLabelsAreLeftOut) {
  Picture("images/a.png", 50);
  Picture("images/b.png", 50);
  Labels("labels/a.png", 1, 4, 4);
  ASSERT_TRUE(WriteFile(root_ / "labels/b.png", "nothing"));
  auto source = OpenImageFolder(root_);
  ASSERT_TRUE(source);
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE((*source)->Next());
    EXPECT_FALSE((*source)->Labels());
  }
}

}  // namespace
}  // namespace stac
