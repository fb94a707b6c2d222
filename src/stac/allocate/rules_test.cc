#include "stac/allocate/rules.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <vector>

namespace stac {
namespace {

// Algorithm 1 as printed: every region, every level, every coefficient, with its table q_n^l.
// gradients[r]: |g_s| of the region's coefficients, frequency n = index % 16.
std::vector<int> PrintedAlgorithmOne(const std::vector<std::vector<double>>& gradients,
                                     const std::vector<std::vector<double>>& tables,
                                     double budget) {
  std::vector<int> levels;
  for (const auto& region : gradients) {
    double min = std::numeric_limits<double>::infinity();
    const double region_budget = budget / static_cast<double>(gradients.size());
    int best = -1;
    for (size_t l = 0; l < tables.size(); ++l) {
      double increment = 0;
      for (size_t i = 0; i < region.size(); ++i) increment += region[i] * tables[l][i % 16] / 2;
      if (std::abs(increment - region_budget) < min) {
        best = static_cast<int>(l);
        min = std::abs(increment - region_budget);
      }
    }
    levels.push_back(best);
  }
  return levels;
}

struct AlgorithmOneCase {
  std::vector<double> average = std::vector<double>(16);
  std::vector<double> budgets;
  std::vector<std::vector<double>> gradients;

  int pixels() const {
    size_t count = 0;
    for (const auto& region : gradients) count += region.size();
    return static_cast<int>(count);
  }
  // q_n^l = 2 B_l / (M g_n).
  std::vector<std::vector<double>> Tables() const {
    std::vector<std::vector<double>> tables;
    for (const double b : budgets) {
      tables.emplace_back();
      for (const double g : average) tables.back().push_back(2 * b / (pixels() * g));
    }
    return tables;
  }
  Grid<double> Weights() const {
    Grid<double> weights(static_cast<int>(gradients.size()), 1);
    for (size_t r = 0; r < gradients.size(); ++r) {
      for (size_t i = 0; i < gradients[r].size(); ++i) {
        weights[r] += gradients[r][i] / average[i % 16];
      }
    }
    return weights;
  }
  void ExpectEqualToPrinted(double budget) const {
    const LevelMap levels = AlgorithmOne(Weights(), budget, pixels(), budgets);
    const auto printed = PrintedAlgorithmOne(gradients, Tables(), budget);
    for (size_t r = 0; r < printed.size(); ++r) {
      EXPECT_EQ(levels[r], printed[r]) << "region " << r << ", budget " << budget;
    }
  }
};

TEST(AlgorithmOneTest, EqualsThePrintedLoopOnRandomInput) {
  std::mt19937 random(11);
  std::lognormal_distribution<double> skewed(0, 2);
  for (int trial = 0; trial < 60; ++trial) {
    AlgorithmOneCase c;
    for (double& g : c.average) g = skewed(random);
    double b = skewed(random);
    const int level_count = 2 + static_cast<int>(random() % 40);
    for (int l = 0; l < level_count; ++l) c.budgets.push_back(b *= 1 + skewed(random) / 20);
    // Whole regions and smaller ones at the border.
    for (int r = 0; r < 30; ++r) {
      c.gradients.emplace_back(r % 5 == 4 ? 64 : 256);
      const double scale = skewed(random);
      for (double& g : c.gradients.back()) g = scale * std::abs(skewed(random));
    }
    double typical = 0;
    const Grid<double> weights = c.Weights();
    for (const double w : weights) typical += w * c.budgets[level_count / 2] / c.pixels();
    for (const double factor : {1e-6, 0.1, 0.5, 1.0, 2.0, 10.0, 1e6}) {
      c.ExpectEqualToPrinted(typical * factor);
    }
  }
}

TEST(AlgorithmOneTest, TiesGoToTheFinerLevelAsInThePrintedLoop) {
  // Powers of two throughout, so that ties are exact: increments 1, 2, 4, 4, 8 for the first
  // region and twice that for the second; B_r = 3 is half-way between 2 and 4.
  AlgorithmOneCase c;
  c.average.assign(16, 1);
  c.budgets = {2, 4, 8, 8, 16};
  c.gradients.assign(2, std::vector<double>(16, 1));
  for (double& g : c.gradients[1]) g = 2;
  c.ExpectEqualToPrinted(6);
  const LevelMap levels = AlgorithmOne(c.Weights(), 6, 32, c.budgets);
  EXPECT_EQ(levels[0], 1);
  EXPECT_EQ(levels[1], 0);
  c.ExpectEqualToPrinted(8);  // B_r = 4 is met by two equal levels
  EXPECT_EQ(AlgorithmOne(c.Weights(), 8, 32, c.budgets)[0], 2);
}

TEST(AlgorithmOneTest, ARegionWithoutGradientIsCoarsest) {
  const Grid<double> weights(2, 1, std::vector<double>{0.0, 1e-300});
  const std::vector<double> budgets = {1, 2, 4};
  const LevelMap levels = AlgorithmOne(weights, 1, 256, budgets);
  EXPECT_EQ(levels[0], 2);
  EXPECT_EQ(levels[1], 2);
}

TEST(PowerLevelsTest, OffsetsAreWorkedOutByHand) {
  const LevelLadder ladder(42, 10, 51);  // one QP per level
  // log2 S: -2, 0, 2; mean 0. Offsets 8.4, 0, -8.4.
  const SensitivityMap s(3, 1, std::vector<float>{0.25f, 1.f, 4.f});
  const LevelMap levels = PowerLevels(s, 30, {.exponent = 0.7, .clip = 10}, ladder);
  EXPECT_EQ(ladder.Qp(levels[0]), 38);
  EXPECT_EQ(ladder.Qp(levels[1]), 30);
  EXPECT_EQ(ladder.Qp(levels[2]), 22);
  const LevelMap clipped = PowerLevels(s, 30, {.exponent = 0.7, .clip = 3}, ladder);
  EXPECT_EQ(ladder.Qp(clipped[0]), 33);
  EXPECT_EQ(ladder.Qp(clipped[2]), 27);
}

TEST(PowerLevelsTest, TheScaleOfSensitivityDoesNotMatter) {
  const LevelLadder ladder(32, 10, 51);
  std::mt19937 random(2);
  SensitivityMap s(20, 10), scaled(20, 10);
  for (size_t i = 0; i < s.size(); ++i) {
    s[i] = static_cast<float>(1 + random() % 1000);
    scaled[i] = s[i] * 0x1p-20f;
  }
  EXPECT_EQ(PowerLevels(s, 28, {}, ladder), PowerLevels(scaled, 28, {}, ladder));
}

TEST(PowerLevelsTest, RegionsWithoutGradientAreDefined) {
  const LevelLadder ladder(42, 10, 51);
  const LevelMap none = PowerLevels(SensitivityMap(4, 2, 0.f), 30, {}, ladder);
  for (const uint8_t level : none) EXPECT_EQ(ladder.Qp(level), 30);
  SensitivityMap one(2, 1, 0.f);
  one[1] = 5;
  const LevelMap levels = PowerLevels(one, 30, {}, ladder);
  EXPECT_EQ(ladder.Qp(levels[0]), 30 + PowerRule{}.clip);
  EXPECT_EQ(ladder.Qp(levels[1]), 30);
  // Nor does a number that is none move those of the others.
  for (const float odd : {INFINITY, NAN, -1.0f}) {
    one[0] = odd;
    EXPECT_EQ(ladder.Qp(PowerLevels(one, 30, {}, ladder)[1]), 30) << odd;
  }
}

TEST(TwoLevelsTest, ChoosesTheMostSensitiveFractionInRasterOrder) {
  const LevelLadder ladder(42, 10, 51);
  const SensitivityMap s(5, 1, std::vector<float>{1, 7, 3, 7, 3});
  const LevelMap levels = TwoLevels(s, 30, 8, 0.6, ladder);
  const int expected[] = {38, 30, 30, 30, 38};
  for (int i = 0; i < 5; ++i) EXPECT_EQ(ladder.Qp(levels[i]), expected[i]) << i;
  for (const uint8_t level : TwoLevels(s, 30, 8, 0, ladder)) EXPECT_EQ(ladder.Qp(level), 38);
  for (const uint8_t level : TwoLevels(s, 30, 8, 1, ladder)) EXPECT_EQ(ladder.Qp(level), 30);
  for (const uint8_t level : TwoLevels(s, 30, 8, 1.5, ladder)) EXPECT_EQ(ladder.Qp(level), 30);
  for (const uint8_t level : TwoLevels(s, 30, 8, -1, ladder)) EXPECT_EQ(ladder.Qp(level), 38);
}

// Between rows 17 and 18: two pixels up is row 15, of the regions above.
TEST(BoundaryLevelsTest, TheDistanceReachesIntoTheRegionsAbove) {
  LabelMap labels(32, 48, 0);
  for (int y = 18; y < 48; ++y) {
    for (int x = 0; x < 32; ++x) labels(x, y) = 1;
  }
  const LevelLadder ladder(2, 30, 38);
  const RegionGrid regions{32, 48, 16};
  EXPECT_EQ(BoundaryLevels(labels, 2, 30, 8, regions, ladder), LevelMap(2, 3, {0, 0, 0, 0, 1, 1}));
  EXPECT_EQ(BoundaryLevels(labels, 1, 30, 8, regions, ladder), LevelMap(2, 3, {1, 1, 0, 0, 1, 1}));
}

TEST(BoundaryLevelsTest, AgreesWithTheDefinitionOnRandomSegments) {
  const LevelLadder ladder(42, 10, 51);
  std::mt19937 random(4);
  LabelMap labels(70, 50, uint8_t{1});
  for (int patch = 0; patch < 3; ++patch) {
    const int x0 = static_cast<int>(random() % 66), y0 = static_cast<int>(random() % 46);
    for (int y = y0; y < y0 + 4; ++y) {
      for (int x = x0; x < x0 + 4; ++x) labels(x, y) = static_cast<uint8_t>(2 + patch);
    }
  }
  const RegionGrid regions{70, 50, 16};
  for (const int distance : {0, 2, 9}) {
    const LevelMap levels = BoundaryLevels(labels, distance, 20, 10, regions, ladder);
    Grid<uint8_t> near(5, 4);
    for (int y = 0; y < 50; ++y) {
      for (int x = 0; x < 70; ++x) {
        for (int v = std::max(0, y - distance); v <= std::min(49, y + distance); ++v) {
          for (int u = std::max(0, x - distance); u <= std::min(69, x + distance); ++u) {
            const uint8_t label = labels(u, v);
            if (label != labels.Clamped(u - 1, v) || label != labels.Clamped(u + 1, v) ||
                label != labels.Clamped(u, v - 1) || label != labels.Clamped(u, v + 1)) {
              near(x / 16, y / 16) = 1;
            }
          }
        }
      }
    }
    for (size_t r = 0; r < near.size(); ++r) {
      EXPECT_EQ(ladder.Qp(levels[r]), near[r] ? 20 : 30) << "region " << r;
    }
  }
}

}  // namespace
}  // namespace stac
