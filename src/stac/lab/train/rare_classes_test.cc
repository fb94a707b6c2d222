#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "stac/lab/train/rare_classes_internal.h"

namespace stac {
namespace {

// A picture of 64x32 pixels, 16x8 cells, of class 0 but for a rectangle of cells.
TrainSample Picture(int id, int x0, int y0, int width, int height) {
  TrainSample sample{.width = 64, .height = 32};
  sample.labels.assign(64 * 32, 0);
  for (int y = 4 * y0; y < 4 * (y0 + height); ++y)
    for (int x = 4 * x0; x < 4 * (x0 + width); ++x)
      sample.labels[y * 64 + x] = static_cast<uint8_t>(id);
  return sample;
}

// The same as a teacher says it, with the human labels wrong.
TrainSample Taught(TrainSample sample, int classes) {
  const size_t count = 16 * 8;
  sample.teacher_classes = classes;
  sample.teacher.assign(classes * count, 10);
  for (size_t i = 0; i < count; ++i)
    sample.teacher[sample.labels[i / 16 * 4 * 64 + i % 16 * 4] * count + i] = 200;
  sample.labels.assign(sample.labels.size(), 0);
  return sample;
}

TEST(RareClasses, AClassIsDrawnByTheRootOfItsShare) {
  // Of 384 cells 16 are of class 1 and 8 of class 3; class 2 is not there.
  for (const bool taught : {false, true}) {
    std::vector<TrainSample> samples = {Picture(0, 0, 0, 1, 1), Picture(1, 2, 3, 4, 4),
                                        Picture(3, 12, 0, 2, 4)};
    if (taught)
      for (TrainSample& sample : samples) sample = Taught(sample, 4);
    const RareClasses rare(samples, 4);
    ASSERT_FALSE(rare.empty());
    Random random(1, 2);
    std::map<int, int> drawn;
    constexpr int kDraws = 20000;
    for (int i = 0; i < kDraws; ++i) {
      const RareClasses::Place place = rare.Draw(random);
      const int x = place.x / 4, y = place.y / 4;
      ASSERT_EQ(place.x % 4 + place.y % 4, 0);
      if (place.sample == 1 && x >= 2 && x < 6 && y >= 3 && y < 7)
        ++drawn[1];
      else if (place.sample == 2 && x >= 12 && x < 14 && y < 4)
        ++drawn[3];
      else
        ++drawn[0];
    }
    const double w0 = std::sqrt(384.0 / 360), w1 = std::sqrt(384.0 / 16), w3 = std::sqrt(384.0 / 8);
    EXPECT_NEAR(drawn[1] / double{kDraws}, w1 / (w0 + w1 + w3), 0.015);
    EXPECT_NEAR(drawn[3] / double{kDraws}, w3 / (w0 + w1 + w3), 0.015);
  }
}

TEST(RareClasses, ACoupleOfCellsDoesNotMakeAPictureOfAClass) {
  const std::vector<TrainSample> samples = {Picture(1, 0, 0, 7, 1), Picture(1, 0, 0, 8, 1)};
  const RareClasses rare(samples, 2);
  Random random(1, 2);
  int ones = 0;
  for (int i = 0; i < 200; ++i) {
    const RareClasses::Place place = rare.Draw(random);
    if (place.y == 0 && place.x < 28) ones += place.sample == 1 ? 1 : 1000;
  }
  EXPECT_GT(ones, 20);  // of about 90; never in the other picture
  EXPECT_LE(ones, 200);
}

TEST(RareClasses, NothingIsDrawnWhereNothingIsKnown) {
  TrainSample sample{.width = 32, .height = 32};
  EXPECT_TRUE(RareClasses({sample}, 3).empty());
  sample.labels.assign(32 * 32, 255);
  EXPECT_TRUE(RareClasses({sample}, 3).empty());
}

}  // namespace
}  // namespace stac
