#include <gtest/gtest.h>

#include <random>

#include "stac/propagate/fill_nearest_internal.h"

namespace stac {
namespace {

// As it is defined.
Grid<int16_t> FilledByHand(const Grid<int16_t>& values) {
  Grid<int16_t> filled = values;
  for (int y = 0; y < values.height(); ++y) {
    for (int x = 0; x < values.width(); ++x) {
      int nearest = INT32_MAX;
      for (int j = 0; j < values.height(); ++j) {
        for (int i = 0; i < values.width(); ++i) {
          const int distance = (i - x) * (i - x) + (j - y) * (j - y);
          if (values(i, j) < 0 || distance >= nearest) continue;
          nearest = distance;
          filled(x, y) = values(i, j);
        }
      }
    }
  }
  return filled;
}

TEST(FillFromNearestTest, AgreesWithASearchOfAllCells) {
  std::mt19937 random(1);
  for (int round = 0; round < 400; ++round) {
    Grid<int16_t> values(1 + static_cast<int>(random() % 24), 1 + static_cast<int>(random() % 24),
                         int16_t{-1});
    const size_t filled = 1 + random() % (round % 2 == 0 ? 4 : values.size());
    for (size_t i = 0; i < filled; ++i) {
      values[random() % values.size()] = static_cast<int16_t>(random() % 1000);
    }
    const Grid<int16_t> expected = FilledByHand(values);
    ASSERT_TRUE(FillFromNearest(values));
    ASSERT_TRUE(std::equal(values.begin(), values.end(), expected.begin())) << round;
  }
}

TEST(FillFromNearestTest, NothingIsLeftAlone) {
  Grid<int16_t> values(3, 2, int16_t{-1});
  EXPECT_FALSE(FillFromNearest(values));
  for (const int16_t value : values) EXPECT_EQ(value, -1);
}

}  // namespace
}  // namespace stac
