#include "stac/allocate/sensitivity.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

namespace stac {
namespace {

InputGradient RandomGradient(int width, int height) {
  std::mt19937 random(5);
  std::normal_distribution<float> normal;
  InputGradient gradient{Grid<float>(width, height), Grid<float>(width / 2, height / 2),
                         Grid<float>(width / 2, height / 2)};
  for (auto* plane : {&gradient.y, &gradient.cb, &gradient.cr}) {
    for (float& value : *plane) value = normal(random);
  }
  return gradient;
}

TEST(RegionSensitivityTest, ConstantBlocksHaveOnlyTheirMean) {
  // A constant 8x8 block of g has one coefficient, 8 g.
  InputGradient gradient{Grid<float>(32, 16), Grid<float>(16, 8), Grid<float>(16, 8)};
  for (int y = 0; y < 8; ++y) {
    for (int x = 0; x < 8; ++x) gradient.y(x, y) = -0.5f;
    for (int x = 0; x < 8; ++x) gradient.cb(8 + x, y) = 2.f;
  }
  const RegionGrid regions{32, 16, 16};
  const auto luma_only = RegionSensitivity({gradient}, regions);
  ASSERT_TRUE(luma_only.SameSize(2, 1));
  EXPECT_NEAR(luma_only[0], 4, 1e-5);
  EXPECT_EQ(luma_only[1], 0);
  const auto both = RegionSensitivity({gradient, gradient}, regions, {.chroma_weight = 0.25});
  EXPECT_NEAR(both[0], 8, 1e-5);
  EXPECT_NEAR(both[1], 2 * 0.25 * 16, 1e-5);
}

TEST(RegionSensitivityTest, SumsThatWereMadeElsewhereAreTaken) {
  Segmentation segmentation;
  segmentation.sums = SensitivityMap(2, 1, std::vector<float>{3, 5});
  segmentation.gradients.push_back(
      {Grid<float>(32, 16, 1.0f), Grid<float>(16, 8), Grid<float>(16, 8)});
  EXPECT_EQ(RegionSensitivity(segmentation, RegionGrid{32, 16, 16}, {}), segmentation.sums);
}

TEST(RegionSensitivityTest, LargerRegionsHoldTheSumOfTheirMacroblocks) {
  // 70x50: the last regions reach over the border.
  const InputGradient gradient = RandomGradient(70, 50);
  for (const int block : {4, 8}) {
    const SensitivityOptions options{.block_size = block, .chroma_weight = 0.5};
    const auto fine = RegionSensitivity({gradient}, {70, 50, 16}, options);
    const auto coarse = RegionSensitivity({gradient}, {70, 50, 32}, options);
    ASSERT_TRUE(fine.SameSize(5, 4));
    ASSERT_TRUE(coarse.SameSize(3, 2));
    for (int row = 0; row < 2; ++row) {
      for (int column = 0; column < 3; ++column) {
        double sum = 0;
        for (int y = 2 * row; y < std::min(2 * row + 2, 4); ++y) {
          for (int x = 2 * column; x < std::min(2 * column + 2, 5); ++x) sum += fine(x, y);
        }
        EXPECT_NEAR(coarse(column, row), sum, 1e-4 * sum);
      }
    }
  }
}

TEST(TableWeightsTest, DividesEachFrequencyByItsAverage) {
  // One 4x4 block of constant g: only frequency 0, with coefficient 4 g.
  InputGradient gradient{Grid<float>(32, 16), Grid<float>(16, 8), Grid<float>(16, 8)};
  for (int y = 4; y < 8; ++y) {
    for (int x = 20; x < 24; ++x) gradient.y(x, y) = 3.f;
  }
  FrequencyGradients average;
  average.luma4.fill(1000);
  average.luma4[0] = 2;
  const auto weights = TableWeights(gradient, average, {32, 16, 16});
  EXPECT_NEAR(weights(1, 0), 12.0 / 2, 1e-4);
  EXPECT_EQ(weights(0, 0), 0);
}

TEST(TableWeightsTest, AFrequencyWithoutAverageIsLeftOut) {
  const InputGradient gradient = RandomGradient(32, 16);
  FrequencyGradients average;
  average.luma4.fill(1);
  const double all = TableWeights(gradient, average, {32, 16, 32})[0];
  average.luma4[5] = 0;
  const double without = TableWeights(gradient, average, {32, 16, 32})[0];
  EXPECT_TRUE(std::isfinite(without));
  EXPECT_LT(without, all);
  EXPECT_GT(without, 0);
}

}  // namespace
}  // namespace stac
