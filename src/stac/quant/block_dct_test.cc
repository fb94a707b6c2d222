#include "stac/quant/block_dct.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

namespace stac {
namespace {

Grid<float> RandomPlane(int width, int height) {
  std::mt19937 random(1);
  Grid<float> plane(width, height);
  for (float& value : plane) value = static_cast<float>(random() % 511) - 255;
  return plane;
}

// The definition, one coefficient at a time.
double Coefficient(const Grid<float>& plane, int x0, int y0, int n, int u, int v) {
  double sum = 0;
  for (int y = 0; y < n; ++y) {
    for (int x = 0; x < n; ++x) {
      if (x0 + x >= plane.width() || y0 + y >= plane.height()) continue;
      sum += plane(x0 + x, y0 + y) * std::cos((2 * x + 1) * u * M_PI / (2 * n)) *
             std::cos((2 * y + 1) * v * M_PI / (2 * n));
    }
  }
  return sum * std::sqrt((u == 0 ? 1.0 : 2.0) / n) * std::sqrt((v == 0 ? 1.0 : 2.0) / n);
}

TEST(BlockDctTest, AgreesWithTheDefinitionAndPadsWithZeros) {
  const Grid<float> plane = RandomPlane(18, 11);
  for (const int n : {4, 8}) {
    const Grid<float> coefficients = BlockDct(plane, n);
    EXPECT_EQ(coefficients.width(), (18 + n - 1) / n * n);
    EXPECT_EQ(coefficients.height(), (11 + n - 1) / n * n);
    for (int y = 0; y < coefficients.height(); ++y) {
      for (int x = 0; x < coefficients.width(); ++x) {
        EXPECT_NEAR(coefficients(x, y), Coefficient(plane, x / n * n, y / n * n, n, x % n, y % n),
                    1e-3);
      }
    }
  }
}

TEST(BlockDctTest, KeepsTheEnergy) {
  const Grid<float> plane = RandomPlane(32, 24);
  double energy = 0;
  for (const float v : plane) energy += v * v;
  for (const int n : {4, 8}) {
    double transformed = 0;
    for (const float v : BlockDct(plane, n)) transformed += v * v;
    EXPECT_NEAR(transformed, energy, 1e-5 * energy);
  }
}

TEST(BlockDctTest, InverseUndoesForward) {
  const Grid<float> plane = RandomPlane(8, 8);
  std::vector<float> b8(plane.begin(), plane.end());
  ForwardDct8(std::span<float, 64>(b8));
  InverseDct8(std::span<float, 64>(b8));
  for (int i = 0; i < 64; ++i) EXPECT_NEAR(b8[i], plane[i], 1e-3);
  std::vector<float> b4(plane.begin(), plane.begin() + 16);
  ForwardDct4(std::span<float, 16>(b4));
  InverseDct4(std::span<float, 16>(b4));
  for (int i = 0; i < 16; ++i) EXPECT_NEAR(b4[i], plane[i], 1e-3);
}

TEST(SumMagnitudesTest, SumsCellsAndBorderCells) {
  const Grid<float> values(3, 3, std::vector<float>{1, -2, 3, -4, 5, -6, 7, -8, 9});
  const Grid<double> sums = SumMagnitudes(values, 2);
  ASSERT_TRUE(sums.SameSize(2, 2));
  EXPECT_EQ(sums(0, 0), 12);
  EXPECT_EQ(sums(1, 0), 9);
  EXPECT_EQ(sums(0, 1), 15);
  EXPECT_EQ(sums(1, 1), 9);
}

}  // namespace
}  // namespace stac
