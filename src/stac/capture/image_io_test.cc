#include "stac/capture/image_io.h"

#include <gtest/gtest.h>
#include <png.h>
#include <turbojpeg.h>
#include <unistd.h>
#include <zlib.h>

#include <filesystem>
#include <random>

#include "stac/base/file.h"
#include "stac/capture/image_codecs_internal.h"

namespace stac {
namespace {

namespace fs = std::filesystem;

class ImageIoTest : public testing::Test {
 protected:
  ImageIoTest()
      : folder_(fs::path(testing::TempDir()) / fmt::format("stac_image_io_test_{}", getpid())) {
    fs::remove_all(folder_);
    fs::create_directories(folder_);
  }
  ~ImageIoTest() override { fs::remove_all(folder_); }

  fs::path folder_;
  std::mt19937 random_{1};
};

RgbImage Pattern(int width, int height) {
  RgbImage image(width, height);
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      image(x, y) = {static_cast<uint8_t>(x * 5), static_cast<uint8_t>(y * 3),
                     static_cast<uint8_t>(x * y)};
    }
  }
  return image;
}

Bytes Jpeg(const RgbImage& image) {
  tjhandle jpeg = tjInitCompress();
  unsigned char* data = nullptr;
  unsigned long size = 0;
  tjCompress2(jpeg, &image.data()->r, image.width(), 0, image.height(), TJPF_RGB, &data, &size,
              TJSAMP_444, 98, 0);
  Bytes bytes(data, data + size);
  tjFree(data);
  tjDestroy(jpeg);
  return bytes;
}

// A PNG of any kind, by libpng's simplified interface.
Bytes Png(int width, int height, uint32_t format, const void* pixels,
          const void* colours = nullptr) {
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  image.width = static_cast<png_uint_32>(width);
  image.height = static_cast<png_uint_32>(height);
  image.format = format;
  image.colormap_entries = 4;
  png_alloc_size_t size = 0;
  png_image_write_to_memory(&image, nullptr, &size, 0, pixels, 0, colours);
  Bytes bytes(size);
  png_image_write_to_memory(&image, bytes.data(), &size, 0, pixels, 0, colours);
  bytes.resize(size);
  return bytes;
}

TEST_F(ImageIoTest, PngRoundTripIsExact) {
  const RgbImage image = Pattern(37, 23);
  ASSERT_TRUE(WritePng(folder_ / "deep" / "a.png", image));
  const auto back = ReadImage(folder_ / "deep" / "a.png");
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(*back, image);

  LabelMap labels(41, 19);
  for (uint8_t& label : labels) label = static_cast<uint8_t>(random_());
  ASSERT_TRUE(WritePng(folder_ / "l.png", labels));
  EXPECT_EQ(*ReadLabelPng(folder_ / "l.png"), labels);
  EXPECT_EQ((*ReadImage(folder_ / "l.png"))(3, 4), (Rgb{labels(3, 4), labels(3, 4), labels(3, 4)}));
}

TEST_F(ImageIoTest, PaletteLabelsAreTheirIndices) {
  const uint8_t indices[8] = {0, 1, 2, 3, 3, 2, 1, 0};
  const uint8_t colours[12] = {255, 0, 0, 0, 255, 0, 0, 0, 255, 9, 9, 9};
  const Bytes png = Png(4, 2, PNG_FORMAT_RGB_COLORMAP, indices, colours);
  const auto labels = DecodeLabelPng(png);
  ASSERT_TRUE(labels) << labels.error().message;
  EXPECT_EQ(*labels, LabelMap(4, 2, {0, 1, 2, 3, 3, 2, 1, 0}));
  EXPECT_EQ((*DecodePng(png))(1, 0), (Rgb{0, 255, 0}));
}

TEST_F(ImageIoTest, TransparencyIsDropped) {
  const uint8_t pixels[8] = {10, 20, 30, 0, 40, 50, 60, 255};
  const auto image = DecodePng(Png(2, 1, PNG_FORMAT_RGBA, pixels));
  ASSERT_TRUE(image);
  EXPECT_EQ((*image)(0, 0), (Rgb{10, 20, 30}));
  EXPECT_EQ((*image)(1, 0), (Rgb{40, 50, 60}));
}

TEST_F(ImageIoTest, JpegIsReadByContent) {
  RgbImage smooth(64, 48);
  for (int y = 0; y < 48; ++y) {
    for (int x = 0; x < 64; ++x) {
      smooth(x, y) = {static_cast<uint8_t>(2 * x), static_cast<uint8_t>(3 * y), 90};
    }
  }
  ASSERT_TRUE(WriteFile(folder_ / "named.png", ByteSpan(Jpeg(smooth))));
  const auto image = ReadImage(folder_ / "named.png");
  ASSERT_TRUE(image) << image.error().message;
  for (size_t i = 0; i < smooth.size(); ++i) {
    ASSERT_NEAR((*image)[i].r, smooth[i].r, 4);
    ASSERT_NEAR((*image)[i].g, smooth[i].g, 4);
  }
}

// A JPEG whose EXIF data hold this orientation.
Bytes TurnedJpeg(uint8_t orientation, bool big_endian) {
  const auto number = [big_endian](int value, int size) {
    std::string bytes(static_cast<size_t>(size), '\0');
    bytes[static_cast<size_t>(big_endian ? size - 1 : 0)] = static_cast<char>(value);
    return bytes;
  };
  std::string exif("Exif\0\0", 6);
  exif += (big_endian ? "MM" : "II") + number(42, 2) + number(8, 4);  // the directory lies behind
  exif += number(2, 2);
  exif += number(1, 2) + number(3, 2) + number(1, 4) + number(7, 4);  // something else
  exif += std::string(big_endian ? "\x01\x12" : "\x12\x01") + number(3, 2) + number(1, 4) +
          number(orientation, 2) + number(0, 2);
  exif = "\xFF\xE1" + std::string(1, '\0') + static_cast<char>(exif.size() + 2) + exif;
  Bytes bytes = Jpeg(Pattern(24, 16));
  bytes.insert(bytes.begin() + 2, exif.begin(), exif.end());
  return bytes;
}

TEST_F(ImageIoTest, OrientationIsTold) {
  EXPECT_EQ(JpegOrientation(Jpeg(Pattern(24, 16))), 1);
  EXPECT_EQ(JpegOrientation(*EncodePng(Pattern(24, 16))), 1);
  EXPECT_EQ(JpegOrientation({}), 1);
  for (const bool big_endian : {false, true}) {
    EXPECT_EQ(JpegOrientation(TurnedJpeg(6, big_endian)), 6);
    EXPECT_EQ(JpegOrientation(TurnedJpeg(8, big_endian)), 8);
    EXPECT_EQ(JpegOrientation(TurnedJpeg(9, big_endian)), 1);  // there is none such
  }
  const Bytes whole = TurnedJpeg(6, false);
  constexpr size_t kExifEnd = 46;
  for (size_t size = 0; size < kExifEnd; ++size)
    EXPECT_EQ(JpegOrientation({whole.data(), size}), 1);
  ASSERT_TRUE(WriteFile(folder_ / "turned.jpg", ByteSpan(whole)));
  int orientation = 0;
  const auto image = ReadImage(folder_ / "turned.jpg", &orientation);
  ASSERT_TRUE(image) << image.error().message;
  EXPECT_EQ(orientation, 6);
  EXPECT_EQ(image->width(), 24);
}

TEST_F(ImageIoTest, EveryTruncationIsAnError) {
  const Bytes png = *EncodePng(Pattern(24, 16));
  for (size_t size = 0; size + 13 < png.size(); ++size) {  // the last chunk carries no pixels
    EXPECT_FALSE(DecodePng({png.data(), size})) << size;
  }
  const Bytes jpeg = Jpeg(Pattern(24, 16));
  for (size_t size = 0; size + 2 < jpeg.size(); ++size) {
    EXPECT_FALSE(DecodeJpegImage({jpeg.data(), size})) << size;
  }
}

TEST_F(ImageIoTest, APngSaysWhatItIsToldTo) {
  const LabelMap labels(30, 20, 3);
  const Bytes png = *EncodePng(labels, {{"frame", "12"}, {"time", "0.500000"}});
  const std::string_view bytes = AsText(png);
  EXPECT_NE(bytes.find(std::string_view("tEXtframe\0"
                                        "12",
                                        12)),
            std::string_view::npos);
  EXPECT_NE(bytes.find(std::string_view("tEXttime\0"
                                        "0.500000",
                                        17)),
            std::string_view::npos);
  EXPECT_EQ(*DecodeLabelPng(png), labels);
}

TEST_F(ImageIoTest, DamagedBytesNeverCrash) {
  LabelMap labels(30, 20);
  for (size_t i = 0; i < labels.size(); ++i) labels[i] = static_cast<uint8_t>(i % 7);
  const Bytes files[] = {*EncodePng(Pattern(24, 16)), *EncodePng(labels), TurnedJpeg(6, true)};
  int refused = 0;
  for (int round = 0; round < 3000; ++round) {
    Bytes bytes = files[round % 3];
    for (int k = 0; k < 1 + round % 5; ++k) {
      bytes[random_() % bytes.size()] = static_cast<uint8_t>(random_());
    }
    refused += !DecodePng(bytes).has_value() + !DecodeLabelPng(bytes).has_value() +
               !DecodeJpegImage(bytes).has_value();
    const int orientation = JpegOrientation(bytes);
    ASSERT_TRUE(orientation >= 1 && orientation <= 8);
  }
  EXPECT_GT(refused, 6000);
}

TEST_F(ImageIoTest, HugeClaimsAreRefusedBeforeAllocation) {
  Bytes png = *EncodePng(Pattern(24, 16));
  const auto claim = [&png](uint32_t width, uint32_t height) {
    for (int i = 0; i < 4; ++i) {
      png[16 + i] = static_cast<uint8_t>(width >> (24 - 8 * i));
      png[20 + i] = static_cast<uint8_t>(height >> (24 - 8 * i));
    }
    const uint32_t crc = static_cast<uint32_t>(
        crc32(crc32(0, nullptr, 0), png.data() + 12, 17));  // zlib's, which PNG prescribes
    for (int i = 0; i < 4; ++i) png[29 + i] = static_cast<uint8_t>(crc >> (24 - 8 * i));
    return DecodePng(png);
  };
  const auto cut = claim(16384, 16384);
  ASSERT_FALSE(cut);
  EXPECT_EQ(cut.error().message, "it is cut off");
  EXPECT_FALSE(claim(16385, 16));
  EXPECT_FALSE(claim(0x7FFFFFFF, 0x7FFFFFFF));
}

TEST_F(ImageIoTest, ErrorsNameTheFile) {
  const auto missing = ReadImage(folder_ / "none.png");
  ASSERT_FALSE(missing);
  EXPECT_NE(missing.error().message.find("none.png"), std::string::npos);
  ASSERT_TRUE(WriteFile(folder_ / "text.png", "not a picture"));
  const auto text = ReadImage(folder_ / "text.png");
  ASSERT_FALSE(text);
  EXPECT_NE(text.error().message.find("neither a PNG nor a JPEG"), std::string::npos);
  ASSERT_TRUE(WritePng(folder_ / "colour.png", Pattern(20, 20)));
  const auto colour = ReadLabelPng(folder_ / "colour.png");
  ASSERT_FALSE(colour);
  EXPECT_NE(colour.error().message.find("one channel"), std::string::npos);
}

}  // namespace
}  // namespace stac
