#include "stac/codec/label_coder.h"

#include <gtest/gtest.h>

#include <random>

#include "stac/codec/test_pictures.h"

namespace stac {
namespace {

// Blobs of a few labels, shifted by `shift` pixels.
LabelMap Blobs(int width, int height, int shift) {
  LabelMap map(width, height);
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      const int u = x + shift;
      map(x, y) = static_cast<uint8_t>((u / 23 * 7 + (y + u / 9) / 17 * 3) % 12);
    }
  }
  return map;
}

LevelMap Waves(int columns, int rows, int shift) {
  LevelMap map(columns, rows);
  for (int y = 0; y < rows; ++y) {
    for (int x = 0; x < columns; ++x) map(x, y) = static_cast<uint8_t>((x + shift) / 3 + y / 2);
  }
  return map;
}

TEST(LabelCoderTest, RoundTripsWithAndWithoutPrediction) {
  const LabelMap labels = Blobs(160, 96, 2);
  const LabelMap before = Blobs(160, 96, 0);
  for (const LabelMap* prediction :
       std::initializer_list<const LabelMap*>{nullptr, &before, &labels}) {
    const auto coded = EncodeLabels(labels, prediction);
    ASSERT_TRUE(coded);
    const auto decoded = DecodeLabels(*coded, 160, 96, prediction);
    ASSERT_TRUE(decoded) << decoded.error().message;
    EXPECT_EQ(*decoded, labels);
  }
  EXPECT_LT(EncodeLabels(labels, &labels)->size(), 30u);
}

TEST(LabelCoderTest, RoundTripsAnyLabelsAtAnySize) {
  std::mt19937 random(1);
  for (int i = 0; i < 60; ++i) {
    const int width = 1 + random() % 40;
    const int height = 1 + random() % 20;
    LabelMap labels(width, height), prediction(width, height);
    const unsigned alphabet = i % 3 == 0 ? 256 : 1 + random() % 20;
    for (uint8_t& label : labels) label = static_cast<uint8_t>(random() % alphabet);
    for (uint8_t& label : prediction) label = static_cast<uint8_t>(random() % alphabet);
    EXPECT_EQ(*DecodeLabels(*EncodeLabels(labels), width, height), labels);
    EXPECT_EQ(*DecodeLabels(*EncodeLabels(labels, &prediction), width, height, &prediction),
              labels);
  }
}

TEST(LevelCoderTest, RoundTripsWithAndWithoutThePreviousMap) {
  const LevelMap levels = Waves(30, 22, 1);
  const LevelMap before = Waves(30, 22, 0);
  for (const LevelMap* previous :
       std::initializer_list<const LevelMap*>{nullptr, &before, &levels}) {
    const Bytes coded = EncodeLevels(levels, previous);
    const auto decoded = DecodeLevels(coded, 30, 22, 32, previous);
    ASSERT_TRUE(decoded) << decoded.error().message;
    EXPECT_EQ(*decoded, levels);
  }
  EXPECT_LT(EncodeLevels(levels, &levels).size(), 10u);
}

TEST(LabelCoderTest, RefusesWhatDoesNotFit) {
  const LabelMap labels = Blobs(64, 48, 1);
  const LabelMap before = Blobs(64, 48, 0);
  const Bytes plain = *EncodeLabels(labels);
  EXPECT_FALSE(DecodeLabels(plain, 48, 64));
  EXPECT_FALSE(DecodeLabels(plain, 64, 50));
  EXPECT_FALSE(DecodeLabels(plain, 60, 48));
  EXPECT_TRUE(DecodeLabels(plain, 64, 48, &before));  // needs no prediction, ignores it
  const Bytes predicted = *EncodeLabels(labels, &labels);
  EXPECT_FALSE(DecodeLabels(predicted, 64, 48));
  EXPECT_FALSE(DecodeLabels(predicted, 64, 48, &before));
  const LabelMap small = Blobs(32, 48, 0);
  EXPECT_FALSE(DecodeLabels(predicted, 64, 48, &small));
}

TEST(LabelCoderTest, HostileInputGivesErrors) {
  const LabelMap labels = Blobs(64, 48, 1);
  const LabelMap before = Blobs(64, 48, 0);
  std::mt19937 random(4);
  for (const LabelMap* prediction : std::initializer_list<const LabelMap*>{nullptr, &before}) {
    const Bytes coded = *EncodeLabels(labels, prediction);
    for (size_t size = 0; size < coded.size(); ++size) {
      EXPECT_FALSE(DecodeLabels({coded.data(), size}, 64, 48, prediction)) << size;
    }
    for (int i = 0; i < 100; ++i) {
      Bytes broken = coded;
      broken[random() % broken.size()] ^= static_cast<uint8_t>(1u << random() % 8);
      // The last byte has spare bits.
      const auto decoded = DecodeLabels(broken, 64, 48, prediction);
      EXPECT_TRUE(!decoded || *decoded == labels);
      Bytes noise(random() % 200);
      for (uint8_t& byte : noise) byte = static_cast<uint8_t>(random());
      EXPECT_FALSE(DecodeLabels(noise, 64, 48, prediction));
    }
  }
}

TEST(LabelCoderTest, RealLabelMapsTakeLessThanHalfOfWebp) {
  const auto maps = CamVidLabels(21);
  if (maps.empty()) GTEST_SKIP() << "skipped: no STAC_DATA";
  size_t plain = 0;
  size_t predicted = 0;
  for (size_t i = 4; i < maps.size(); i += 4) {
    const Bytes alone = *EncodeLabels(maps[i]);
    const Bytes with_last = *EncodeLabels(maps[i], &maps[i - 1]);
    EXPECT_EQ(*DecodeLabels(alone, maps[i].width(), maps[i].height()), maps[i]);
    EXPECT_EQ(*DecodeLabels(with_last, maps[i].width(), maps[i].height(), &maps[i - 1]), maps[i]);
    plain += alone.size();
    predicted += with_last.size();
  }
  // libwebp 1.2.4, lossless, method 6: 2816 bytes a map over this sequence.
  EXPECT_LT(plain, 5u * 1408);
  EXPECT_LT(predicted, plain);
}

TEST(LevelCoderTest, RoundTripsAnyLevels) {
  std::mt19937 random(2);
  for (int i = 0; i < 40; ++i) {
    LevelMap levels(1 + random() % 30, 1 + random() % 20);
    LevelMap previous(levels.width(), levels.height());
    const unsigned count = 1 + random() % kMaxLevels;
    for (uint8_t& level : levels) level = static_cast<uint8_t>(random() % count);
    for (uint8_t& level : previous) level = static_cast<uint8_t>(random() % count);
    for (const LevelMap* before : std::initializer_list<const LevelMap*>{nullptr, &previous}) {
      EXPECT_EQ(*DecodeLevels(EncodeLevels(levels, before), levels.width(), levels.height(),
                              static_cast<int>(count), before),
                levels);
    }
  }
}

TEST(LevelCoderTest, HostileInputGivesErrors) {
  const LevelMap levels = Waves(30, 22, 1);
  const LevelMap before = Waves(30, 22, 0);
  const Bytes coded = EncodeLevels(levels, &before);
  EXPECT_FALSE(DecodeLevels(coded, 30, 22, 32, nullptr));
  EXPECT_FALSE(DecodeLevels(coded, 30, 22, 32, &levels));
  EXPECT_FALSE(DecodeLevels(coded, 22, 30, 32, nullptr));
  EXPECT_FALSE(DecodeLevels(coded, 30, 22, 10, &before));  // holds levels above 9
  const int most = *std::max_element(levels.begin(), levels.end());
  EXPECT_FALSE(DecodeLevels(coded, 30, 22, most, &before));
  EXPECT_TRUE(DecodeLevels(coded, 30, 22, most + 1, &before));
  for (size_t size = 0; size < coded.size(); ++size) {
    EXPECT_FALSE(DecodeLevels({coded.data(), size}, 30, 22, 32, &before));
  }
  // The checksum has 16 bits: about one damaged map in 65536 passes.
  std::mt19937 random(6);
  int passed = 0;
  for (int i = 0; i < 400; ++i) {
    Bytes broken(random() % 60);
    for (uint8_t& byte : broken) byte = static_cast<uint8_t>(random());
    passed += DecodeLevels(broken, 30, 22, 32, &before).has_value();
  }
  EXPECT_LE(passed, 1);
}

}  // namespace
}  // namespace stac
