#include "stac/codec/label_coder.h"

#include <gtest/gtest.h>

#include <random>

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
  for (const LabelMap* prediction : {static_cast<const LabelMap*>(nullptr), &before, &labels}) {
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
  for (const LevelMap* previous : {static_cast<const LevelMap*>(nullptr), &before, &levels}) {
    const Bytes coded = EncodeLevels(levels, previous);
    const auto decoded = DecodeLevels(coded, 30, 22, 32, previous);
    ASSERT_TRUE(decoded) << decoded.error().message;
    EXPECT_EQ(*decoded, levels);
  }
  EXPECT_LT(EncodeLevels(levels, &levels).size(), 10u);
}

}  // namespace
}  // namespace stac
