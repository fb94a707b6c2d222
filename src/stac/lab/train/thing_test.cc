#include <gtest/gtest.h>
#include <torch/nn/functional/pooling.h>

#include <set>
#include <tuple>

#include "stac/lab/train/thing_internal.h"

namespace stac {
namespace {

// 40x24 pixels, 10x6 cells: class 1 in an L of three cells and, apart from it, in one more; each
// cell is as bright as its number.
TrainSample TwoThings() {
  TrainSample sample{.width = 40, .height = 24};
  sample.labels.assign(40 * 24, 0);
  for (int i = 0; i < 40 * 24; ++i)
    sample.rgb.insert(sample.rgb.end(), 3, static_cast<uint8_t>(i / 160 * 10 + i % 40 / 4));
  for (const auto& [x, y] : {std::pair(2, 1), {2, 2}, {3, 2}, {5, 2}})
    for (int i = 0; i < 16; ++i) sample.labels[(y * 4 + i / 4) * 40 + x * 4 + i % 4] = 1;
  return sample;
}

TEST(CutOut, TakesWhatTouchesThePlace) {
  const std::vector<TrainSample> samples = {{}, TwoThings()};
  const RareClasses rare(samples, 2);
  for (const RareClasses::Place& place : {RareClasses::Place{1, 8, 4}, {1, 12, 8}}) {
    const Thing thing = CutOut(samples[1], rare.cells(1), place);
    EXPECT_TRUE(thing.mask.equal(torch::tensor({1.F, 0.F, 1.F, 1.F}).view({1, 1, 2, 2})));
    ASSERT_EQ(thing.rgb.sizes(), (std::vector<int64_t>{1, 3, 8, 8}));
    for (const auto& [x, y, cell] : {std::tuple(0, 0, 12), {7, 0, 13}, {3, 7, 22}, {4, 4, 23}})
      EXPECT_FLOAT_EQ((thing.rgb[0][1][y][x].item<float>()), static_cast<float>(cell) / 255)
          << cell;
  }
}

TEST(CutOut, MayBeAllOfThePicture) {
  TrainSample sample = TwoThings();
  sample.labels.assign(sample.labels.size(), 1);
  const Thing thing = CutOut(sample, std::vector<uint8_t>(60, 1), {0, 20, 12});
  EXPECT_EQ(thing.mask.sum().item<float>(), 60);
  EXPECT_EQ(thing.rgb.sizes(), (std::vector<int64_t>{1, 3, 24, 40}));
}

TEST(DrawTrafficLight, HasHeadsWithLampsOfWhichFewAreLit) {
  Random random(5, 0);
  int lit = 0;
  for (int i = 0; i < 30; ++i) {
    const Thing light = DrawTrafficLight(random);
    ASSERT_EQ(light.mask.size(2), light.rgb.size(2));
    ASSERT_EQ(light.mask.size(3), light.rgb.size(3));
    EXPECT_TRUE(((light.rgb >= 0) & (light.rgb <= 1)).all().item<bool>());
    EXPECT_GE(light.rgb.size(2), 108);
    EXPECT_LE(light.rgb.size(2), 428);
    const int64_t heads = (light.rgb.size(3) - 4) / 44;
    EXPECT_GE(light.mask.sum().item<float>(), static_cast<float>(heads * 40 * 100));
    const torch::Tensor colored = light.rgb.amax(1) - light.rgb.amin(1) > 0.5;
    const auto area = colored.sum().item<double>();
    EXPECT_LE(area, static_cast<double>(heads) * 14 * 14 * 3.2);  // a lamp each
    EXPECT_FALSE((colored & (light.mask.squeeze(1) == 0)).any().item<bool>());
    lit += area > 0;
  }
  EXPECT_GT(lit, 15);
}

TEST(PasteOnto, CoversAsMuchAsTheScaleSaysSomewhere) {
  Thing thing{torch::ones({1, 3, 8, 16}), torch::ones({1, 1, 2, 4})};
  Random random(1, 1);
  std::set<int64_t> columns;
  for (int i = 0; i < 20; ++i) {
    const torch::Tensor before = torch::zeros({1, 3, 64, 96});
    torch::Tensor rgb = before, labels = torch::zeros({1, 16, 24}, torch::kLong);
    PasteOnto(rgb, labels, thing, 1.5, random);
    EXPECT_EQ(before.max().item<float>(), 0);  // a copy was changed
    EXPECT_NEAR(rgb[0][2].sum().item<float>(), 12 * 24, 1e-2);
    const torch::Tensor shown = torch::nn::functional::avg_pool2d(
        rgb.narrow(1, 0, 1), torch::nn::functional::AvgPool2dFuncOptions(4))[0];
    EXPECT_TRUE(((shown == 0) | (labels == 255)).all().item<bool>());
    EXPECT_LT((labels == 255).sum().item<int64_t>(), 6 * 9);
    columns.insert(rgb[0][0].amax(0).argmax().item<int64_t>());
  }
  EXPECT_GT(columns.size(), 10u);
}

TEST(PasteOnto, NothingHidesMoreThanAQuarter) {
  Thing thing{torch::ones({1, 3, 40, 8}), torch::ones({1, 1, 10, 2})};
  Random random(1, 1);
  torch::Tensor rgb = torch::zeros({1, 3, 64, 96}), labels;
  PasteOnto(rgb, labels, thing, 2, random);
  EXPECT_FALSE(labels.defined());
  EXPECT_NEAR(rgb[0][0].sum().item<float>(), 32 * 6, 1e-2);  // 32 high, not 80
}

TEST(PasteOnto, LeavesWhatIsBesideTheMask) {
  Thing thing{torch::ones({1, 3, 8, 8}), torch::zeros({1, 1, 2, 2})};
  Random random(1, 1);
  torch::Tensor rgb = torch::full({1, 3, 32, 32}, 0.25),
                labels = torch::ones({1, 8, 8}, torch::kLong);
  PasteOnto(rgb, labels, thing, 1, random);
  EXPECT_TRUE((rgb == 0.25).all().item<bool>());
  EXPECT_TRUE((labels == 1).all().item<bool>());
}

}  // namespace
}  // namespace stac
