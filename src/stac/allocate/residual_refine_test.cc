#include "stac/allocate/residual_refine.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "stac/quant/block_dct.h"

namespace stac {
namespace {

constexpr RefineOptions kFlat{{16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16}};

Frame Constant(int width, int height, int luma) {
  Frame frame(width, height);
  for (int i = 0; i < 3; ++i) {
    const PlaneView& plane = frame.plane(i);
    for (int y = 0; y < plane.height; ++y) {
      std::fill_n(frame.MutablePlane(i) + y * plane.stride, plane.width, i == 0 ? luma : 128);
    }
  }
  return frame;
}

// `base` with noise of the given amplitude added to luma.
Frame Noisy(const Frame& base, int amplitude, int seed) {
  Frame frame = Constant(base.width(), base.height(), 0);
  std::mt19937 random(seed);
  const PlaneView& plane = frame.y();
  for (int y = 0; y < plane.height; ++y) {
    for (int x = 0; x < plane.width; ++x) {
      const int noise = static_cast<int>(random() % (2 * amplitude + 1)) - amplitude;
      frame.MutablePlane(0)[y * plane.stride + x] =
          static_cast<uint8_t>(std::clamp(base.y().At(x, y) + noise, 0, 255));
    }
  }
  return frame;
}

// Steps of 10, 20, 40, 80, 160.
LevelLadder TensLadder() { return LevelLadder(5, 24, 48); }

TEST(ResidualRefineTest, ConstantBlocksAreWorkedOutByHand) {
  const LevelLadder ladder = TensLadder();
  ASSERT_NEAR(StepOfQp(24), 10, 1e-9);
  // A 16x16 region of constant luma 102: each of 16 blocks has s = 408 only. At level 1 (q = 20)
  // that is quantized to 400: 100 per sample, exact in 8 bits, so the threshold is 16 * 8 = 128,
  // and V' = 16 log2(408 / 20).
  const Frame raw = Constant(16, 16, 102);
  const RegionGrid regions{16, 16, 16};
  const LevelMap levels(1, 1, uint8_t{1});
  // Against a prediction of 93 the residual is s = 36. Errors per block: q = 10: 4; q = 20: 4;
  // q = 40: 4; q = 80: 36 (rounds to 0). So the coarsest allowed is q = 40, with size 0: |s| < q.
  const auto refined =
      RefineForResidual(raw, Constant(16, 16, 93), levels, nullptr, regions, ladder, kFlat);
  EXPECT_EQ(refined.levels[0], 2);
  EXPECT_EQ(refined.fell_back[0], 0);
  EXPECT_NEAR(refined.error_limit[0], 128, 1e-2);
  EXPECT_NEAR(refined.size_limit[0], 16 * std::log2(408.0 / 20), 1e-3);
  EXPECT_NEAR(refined.error[0], 64, 1e-2);
  EXPECT_EQ(refined.size[0], 0);
}

TEST(ResidualRefineTest, GoesFinerFromAStartThatIsTooCoarse) {
  const Frame raw = Constant(16, 16, 102);
  const LevelMap levels(1, 1, uint8_t{1});
  const LevelMap start(1, 1, uint8_t{4});
  const auto refined = RefineForResidual(raw, Constant(16, 16, 93), levels, &start, {16, 16, 16},
                                         TensLadder(), kFlat);
  EXPECT_EQ(refined.levels[0], 2);
  EXPECT_EQ(refined.fell_back[0], 0);
}

TEST(ResidualRefineTest, APerfectPredictionKeepsTheStart) {
  const Frame raw = Noisy(Constant(32, 32, 120), 40, 1);
  const LevelMap levels(2, 2, uint8_t{1});
  LevelMap start(2, 2, uint8_t{3});
  start(1, 1) = 0;
  const auto refined =
      RefineForResidual(raw, raw, levels, &start, {32, 32, 16}, TensLadder(), kFlat);
  EXPECT_EQ(refined.levels, start);
  for (size_t r = 0; r < 4; ++r) {
    EXPECT_EQ(refined.error[r], 0);
    EXPECT_EQ(refined.size[r], 0);
  }
}

// A picture that costs nothing at l', and a start so fine that the residual does: coarser levels
// are allowed, finer ones are not.
TEST(ResidualRefineTest, GoesCoarserFromAStartThatIsTooLarge) {
  const Frame raw = Constant(16, 16, 50);
  const LevelMap levels(1, 1, uint8_t{7}), start(1, 1, uint8_t{0});
  const auto refined = RefineForResidual(raw, Constant(16, 16, 49), levels, &start, {16, 16, 16},
                                         LevelLadder(8, 10, 51), kFlat);
  EXPECT_EQ(refined.fell_back[0], 0);
  EXPECT_GT(refined.levels[0], 0);
  EXPECT_LE(refined.size[0], refined.size_limit[0]);
  EXPECT_LE(refined.error[0], refined.error_limit[0]);
}

TEST(ResidualRefineTest, FallsBackWhereThePredictionIsUseless) {
  // The picture is flat and exact at its level; the residual against noise never is.
  const Frame raw = Constant(16, 16, 100);
  const Frame prediction = Noisy(Constant(16, 16, 128), 100, 2);
  const LevelMap levels(1, 1, uint8_t{1});
  const auto refined =
      RefineForResidual(raw, prediction, levels, nullptr, {16, 16, 16}, TensLadder(), kFlat);
  EXPECT_EQ(refined.fell_back[0], 1);
  EXPECT_EQ(refined.levels[0], 1);
  EXPECT_EQ(refined.size[0], refined.size_limit[0]);
}

TEST(ResidualRefineTest, TheMatrixWeighsFrequencies) {
  // Only the mean has energy: a matrix that doubles its step acts as one level coarser.
  RefineOptions doubled = kFlat;
  doubled.matrix[0] = 32;
  const auto refined =
      RefineForResidual(Constant(16, 16, 102), Constant(16, 16, 93), LevelMap(1, 1, uint8_t{0}),
                        nullptr, {16, 16, 16}, TensLadder(), doubled);
  EXPECT_EQ(refined.levels[0], 1);
}

// Never more error than the picture coded at l', never more bits.
TEST(ResidualRefineTest, ConstraintsHoldOnNoise) {
  const LevelLadder ladder(32, 10, 51);
  std::mt19937 random(3);
  const Frame base = Noisy(Constant(70, 50, 120), 60, 4);
  const RegionGrid regions{70, 50, 16};
  for (const int amplitude : {1, 5, 20, 80}) {
    const Frame prediction = Noisy(base, amplitude, 5);
    LevelMap levels(5, 4), start(5, 4);
    for (uint8_t& level : levels) level = static_cast<uint8_t>(random() % 32);
    for (uint8_t& level : start) level = static_cast<uint8_t>(random() % 32);
    const auto refined =
        RefineForResidual(base, prediction, levels, &start, regions, ladder, kFlat);
    int kept = 0;
    for (size_t r = 0; r < levels.size(); ++r) {
      EXPECT_LE(refined.error[r], refined.error_limit[r]);
      EXPECT_LE(refined.size[r], refined.size_limit[r]);
      EXPECT_TRUE(!refined.fell_back[r] || refined.levels[r] == levels[r]);
      kept += !refined.fell_back[r];
    }
    EXPECT_TRUE(kept > 0 || amplitude == 80) << "amplitude " << amplitude;

    // The reported error is that of the residual quantized at the chosen level.
    Grid<float> residual(70, 50);
    for (int y = 0; y < 50; ++y) {
      for (int x = 0; x < 70; ++x) {
        residual(x, y) = static_cast<float>(base.y().At(x, y)) - prediction.y().At(x, y);
      }
    }
    const Grid<float> coefficients = BlockDct(residual, 4);
    for (int row = 0; row < 3; ++row) {  // whole regions only
      for (int column = 0; column < 4; ++column) {
        if (refined.fell_back(column, row)) continue;
        const double q = StepOfQp(ladder.Qp(refined.levels(column, row)));
        double error = 0;
        for (int y = 0; y < 16; ++y) {
          for (int x = 0; x < 16; ++x) {
            const double s = coefficients(column * 16 + x, row * 16 + y);
            error += std::abs(s - std::round(s / q) * q);
          }
        }
        EXPECT_NEAR(refined.error(column, row), error, 0.01 * error + 0.1);
      }
    }
  }
}

}  // namespace
}  // namespace stac
