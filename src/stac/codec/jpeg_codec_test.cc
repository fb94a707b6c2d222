#include "stac/codec/jpeg_codec.h"

#include <gtest/gtest.h>

#include <random>

#include "stac/codec/test_pictures.h"

namespace stac {
namespace {

// The entries of the DQT marker's tables, in zigzag order, by table number.
std::vector<Bytes> TablesIn(const Bytes& jpeg) {
  std::vector<Bytes> tables(4);
  for (size_t at = 2; at + 4 < jpeg.size() && jpeg[at] == 0xFF && jpeg[at + 1] != 0xDA;) {
    const size_t length = jpeg[at + 2] * 256u + jpeg[at + 3];
    if (jpeg[at + 1] == 0xDB) {
      for (size_t i = at + 4; i + 65 <= at + 2 + length; i += 65) {
        tables[jpeg[i] & 3].assign(jpeg.begin() + i + 1, jpeg.begin() + i + 65);
      }
    }
    at += 2 + length;
  }
  return tables;
}

TEST(JpegTest, StandardTablesAreThoseOfAnnexK) {
  const JpegTables half = StandardTables(50);
  EXPECT_EQ(half.luma[0], 16);
  EXPECT_EQ(half.luma[1], 11);
  EXPECT_EQ(half.luma[8], 12);
  EXPECT_EQ(half.luma[63], 99);
  EXPECT_EQ(half.cb[0], 17);
  EXPECT_EQ(half.cr, half.cb);
  EXPECT_EQ(StandardTables(75).luma[0], 8);
  EXPECT_EQ(StandardTables(100).luma[63], 1);
}

TEST(JpegTest, FinestTablesKeepTheSamplesAlmostExactly) {
  const ColorSpec color{ColorMatrix::kBt601, ColorRange::kFull};
  for (const auto& [width, height] : {std::pair(64, 48), std::pair(50, 38), std::pair(16, 16)}) {
    const Frame frame = MovingTexture(width, height, 1, 3, color)[0];
    const auto jpeg = EncodeJpeg(frame, StandardTables(100));
    ASSERT_TRUE(jpeg);
    const auto decoded = DecodeJpeg(*jpeg, color);
    ASSERT_TRUE(decoded) << decoded.error().message;
    EXPECT_EQ(decoded->color(), color);
    for (int i = 0; i < 3; ++i) {
      for (int y = 0; y < frame.plane(i).height; ++y) {
        for (int x = 0; x < frame.plane(i).width; ++x) {
          ASSERT_NEAR(decoded->plane(i).At(x, y), frame.plane(i).At(x, y), 2);
        }
      }
    }
  }
}

TEST(JpegTest, EachPlaneHasItsOwnTableInRasterOrder) {
  JpegTables tables = StandardTables(80);
  tables.luma[1] = 101;  // horizontal frequency 1: second in zigzag order
  tables.cb[8] = 102;    // vertical frequency 1: third
  tables.cr[63] = 103;
  const auto jpeg = EncodeJpeg(MovingTexture(64, 48, 1, 3)[0], tables);
  ASSERT_TRUE(jpeg);
  const auto written = TablesIn(*jpeg);
  ASSERT_EQ(written[0].size(), 64u);
  ASSERT_EQ(written[1].size(), 64u);
  ASSERT_EQ(written[2].size(), 64u);
  EXPECT_EQ(written[0][1], 101);
  EXPECT_EQ(written[1][2], 102);
  EXPECT_EQ(written[2][63], 103);
}

TEST(JpegTest, CoarserTablesTakeFewerBytes) {
  const Frame frame = MovingTexture(128, 96, 1, 3)[0];
  EXPECT_LT(EncodeJpeg(frame, StandardTables(30))->size(),
            EncodeJpeg(frame, StandardTables(80))->size());
}

TEST(JpegTest, HostileInputGivesErrors) {
  const Frame frame = MovingTexture(64, 48, 1, 10)[0];
  const Bytes jpeg = *EncodeJpeg(frame, StandardTables(60));
  EXPECT_FALSE(DecodeJpeg({}, {}));
  EXPECT_FALSE(DecodeJpeg(jpeg, {}, 32, 32));
  for (size_t size = 0; size < jpeg.size() - 2; ++size) {
    EXPECT_FALSE(DecodeJpeg({jpeg.data(), size}, {})) << size;
  }
  std::mt19937 random(1);
  for (int i = 0; i < 3000; ++i) {
    Bytes broken = jpeg;
    for (unsigned flips = 1 + random() % 4; flips > 0; --flips) {
      broken[random() % broken.size()] ^= static_cast<uint8_t>(1u << random() % 8);
    }
    const auto decoded = DecodeJpeg(broken, {}, 512, 512);
    if (decoded) {
      EXPECT_LE(decoded->width(), 512);
    } else {
      EXPECT_FALSE(decoded.error().message.empty());
    }
  }
}

}  // namespace
}  // namespace stac
