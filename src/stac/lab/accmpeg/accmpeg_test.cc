#include <gmock/gmock.h>

#include <algorithm>

#include "stac/base/file.h"
#include "stac/base/test_folder.h"
#include "stac/codec/video_encoder.h"
#include "stac/lab/accmpeg/macroblock_labels.h"
#include "stac/lab/accmpeg/macroblock_scorer.h"
#include "stac/lab/accuracy_gradient.h"
#include "stac/segment/fake_segmenter.h"
#include "stac/segment/networks/stacnet_internal.h"

namespace stac {
namespace {

using ::testing::Each;
using ::testing::Ge;
using ::testing::HasSubstr;
using ::testing::Le;

// 64x48: flat grey with a noisy macroblock at column 2, row 1.
TrainSample NoisyMacroblock() {
  TrainSample sample{.width = 64, .height = 48};
  sample.rgb.assign(64 * 48 * 3, 128);
  uint32_t state = 1;
  for (int y = 16; y < 32; ++y) {
    for (int x = 32; x < 48; ++x) {
      state = state * 1664525 + 1013904223;
      for (int c = 0; c < 3; ++c) sample.rgb[(y * 64 + x) * 3 + c] = state >> 24;
    }
  }
  return sample;
}

TEST(AccuracyGradient, IsTheSumOfGradientTimesError) {
  const Frame high = MakeGreyFrame(32, 16);
  Frame low = MakeGreyFrame(32, 16);
  // One luma sample of macroblock 0 is off by 5, one Cb sample of macroblock 1 by 7.
  low.MutablePlane(0)[3 * low.plane(0).stride + 4] = 123;
  low.MutablePlane(1)[8] = 135;
  const InputGradient gradient{
      .y = Grid<float>(32, 16, -2.0f), .cb = Grid<float>(16, 8, 3.0f), .cr = Grid<float>(16, 8)};
  const SensitivityMap map = AccuracyGradient(high, low, gradient);
  ASSERT_TRUE(map.SameSize(2, 1));
  EXPECT_FLOAT_EQ(map(0, 0), 10);
  EXPECT_FLOAT_EQ(map(1, 0), 21);
}

TEST(LabelMacroblocks, MarksWhereCodingHurts) {
  FakeSegmenter network(8);
  std::vector<TrainSample> samples = {NoisyMacroblock()};
  ASSERT_TRUE(LabelMacroblocks(network, 1.0 / 12, MakeX264Encoder, samples).has_value());
  ASSERT_EQ(samples[0].labels.size(), 64u * 48);
  for (int y = 0; y < 48; ++y) {
    for (int x = 0; x < 64; ++x) {
      EXPECT_EQ(samples[0].labels[y * 64 + x], x / 16 == 2 && y / 16 == 1) << x << ' ' << y;
    }
  }
}

TEST(LabelMacroblocks, StopsWhenAsked) {
  FakeSegmenter network(8);
  std::vector<TrainSample> samples = {NoisyMacroblock()};
  const std::vector<uint8_t> before = samples[0].labels;
  const std::atomic<bool> stop = true;
  EXPECT_FALSE(LabelMacroblocks(network, 0.5, MakeX264Encoder, samples, &stop).has_value());
  EXPECT_EQ(samples[0].labels, before);
}

TEST(LabelMacroblocks, TheShareIsTheShare) {
  FakeSegmenter network(8);
  for (const double share : {0.0, 0.5, 1.0}) {
    std::vector<TrainSample> samples = {NoisyMacroblock()};
    ASSERT_TRUE(LabelMacroblocks(network, share, MakeX264Encoder, samples).has_value());
    const auto ones = std::count(samples[0].labels.begin(), samples[0].labels.end(), 1);
    EXPECT_EQ(ones, share * 64 * 48);
  }
}

class ScorerTest : public ::testing::Test {
 protected:
  std::string Write(const std::string& definition, int classes) {
    const auto network = MakeNetwork(definition, classes).value();
    const Bytes bytes = EncodeStacnet(*network, definition, classes, "test", true).value();
    EXPECT_TRUE(WriteFile(folder_ / "net.stacnet", bytes).has_value());
    return (folder_ / "net.stacnet").string();
  }
  TestFolder folder_;
};

TEST_F(ScorerTest, GivesAProbabilityForEveryMacroblockOfAnySize) {
  const auto scorer = LoadMacroblockScorer(Write("accmpeg", 2));
  ASSERT_TRUE(scorer.has_value()) << scorer.error().message;
  for (const auto& [width, height] : {std::pair{64, 48}, std::pair{70, 34}}) {
    const auto map = (*scorer)(MakeGreyFrame(width, height));
    ASSERT_TRUE(map.has_value()) << map.error().message;
    EXPECT_TRUE(map->SameSize((width + 15) / 16, (height + 15) / 16));
    EXPECT_THAT(std::vector<float>(map->begin(), map->end()), Each(Ge(0.0f)));
    EXPECT_THAT(std::vector<float>(map->begin(), map->end()), Each(Le(1.0f)));
  }
}

TEST_F(ScorerTest, RefusesWhatIsNoNetworkForMacroblocks) {
  EXPECT_THAT(LoadMacroblockScorer(Write("edge", 2)).error().message, HasSubstr("accmpeg"));
  EXPECT_THAT(LoadMacroblockScorer(Write("accmpeg", 3)).error().message, HasSubstr("3 classes"));
  EXPECT_FALSE(LoadMacroblockScorer((folder_ / "none").string()).has_value());
  ASSERT_TRUE(WriteFile(folder_ / "bad", std::string_view("STACNET1....")).has_value());
  EXPECT_THAT(LoadMacroblockScorer((folder_ / "bad").string()).error().message,
              HasSubstr("cannot use"));
}

}  // namespace
}  // namespace stac
