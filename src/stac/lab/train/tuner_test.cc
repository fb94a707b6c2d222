#include <gmock/gmock.h>

#include <cmath>

#include "stac/base/file.h"
#include "stac/base/test_folder.h"
#include "stac/lab/train/tuner_check.h"
#include "stac/lab/train/tuner_trainer.h"

namespace stac {
namespace {

using testing::HasSubstr;

// A world with a law: bits double with every 6 QP less and with the rate, and grow with c; more
// bits of either kind are more accurate, and at equal bits the rate and the QP are best in step:
// QP 24 with 8 keyframes a second, 30 with 4, 36 with 2.
SegmentRow Row(const std::string& clip, double c, int segment, double qp, double fps) {
  const double finer = (36 - qp) / 6, faster = std::log2(fps / 2);
  const double apart = finer - faster;
  const double video = c / 1e4 * std::exp2(finer + faster);
  return {.system = "stac",
          .network = "net",
          .clip = clip,
          .segment = segment,
          .configuration = {qp, fps, 1},
          .accuracy = 0.7 + 0.05 * (finer + faster) - 0.02 * apart * apart,
          .kbps = video + 20,
          .video_kbps = video,
          .c = c,
          .d = 4 * c};
}

std::vector<SegmentRow> World(const std::vector<double>& complexities) {
  std::vector<SegmentRow> rows;
  for (const double c : complexities) {
    for (int segment = 0; segment < 3; ++segment) {
      for (const double qp : {24, 27, 30, 33, 36}) {
        for (const double fps : {2, 4, 8}) {
          rows.push_back(Row(std::to_string(c), c, segment, qp, fps));
        }
      }
    }
  }
  return rows;
}

TEST(TunerDataTest, PairsStepFromAnythingToWhatNothingBeats) {
  const auto rows = World({1e6});
  const auto data = TunerData::Make(rows, {});
  ASSERT_TRUE(data.has_value());
  // Two seconds of 15 configurations each.
  const size_t best = FilterSegments(rows, SegmentBits::kUplink).size() / 3 * 2;
  EXPECT_EQ(data->pairs(), 30 * best);
  std::mt19937_64 random(1);
  for (int i = 0; i < 200; ++i) {
    const auto example = data->Draw(random);
    // The step explains the change of bits: alpha finer and beta faster.
    EXPECT_NEAR(example.features[1] - example.features[0], example.target[1] - example.target[0],
                1e-4);
    EXPECT_EQ(example.target[2], 0);
    EXPECT_NEAR(example.features[4], std::log2(1e6), 1e-4);
  }
}

TEST(TunerDataTest, VariedAreaMovesBitsAndContentTogether) {
  const auto data = TunerData::Make(World({1e6}), {.min_area_log2 = 3, .max_area_log2 = 3});
  std::mt19937_64 random(1);
  const auto example = data->Draw(random);
  EXPECT_NEAR(example.features[4], std::log2(8e6), 1e-4);
  EXPECT_NEAR(example.features[5], std::log2(32e6), 1e-4);
  EXPECT_GE(example.features[0], std::log2(8 * 100) - 1e-4);  // the cheapest row has 100 kb/s
}

TEST(TunerDataTest, FirstSecondsAloneAreNotEnough) {
  auto rows = World({1e6});
  std::erase_if(rows, [](const SegmentRow& row) { return row.segment > 0; });
  const auto data = TunerData::Make(rows, {});
  ASSERT_FALSE(data.has_value());
  EXPECT_THAT(data.error().message, HasSubstr("first second"));
}

TEST(TunerTrainerTest, LearnsTheLaw) {
  const TestFolder folder;
  const auto train_rows = World({1e6, 4e6}), test_rows = World({2e6});
  const auto data = TunerData::Make(train_rows, {.max_area_log2 = 1}).value();
  const auto test = TunerData::Make(test_rows, {}).value();
  const TunerTrainOptions options{.hidden = {32, 32},
                                  .steps = 600,
                                  .batch = 128,
                                  .learning_rate = 1e-2,
                                  .origin = "a \"law\"",
                                  .log = folder / "log.csv"};
  const auto trained = TrainTuner(data, test, 2, options);
  ASSERT_TRUE(trained.has_value()) << trained.error().message;
  EXPECT_EQ(trained->network.flops(), 2u * (6 * 32 + 32 * 32 + 32 * 2));
  EXPECT_THAT(std::string(AsText(ReadFile(folder / "log.csv").value())),
              HasSubstr("step,loss,test_loss\n100,"));

  // The weight file keeps what was learnt.
  const auto read = TunerNetwork::FromJson(trained->network.ToJson());
  ASSERT_TRUE(read.has_value()) << read.error().message;
  EXPECT_EQ(read->origin(), "a \"law\"");
  const auto features = TunerNetwork::Features({.last_kbps = 400,
                                                .bandwidth_kbps = 800,
                                                .last_base_qp = 30,
                                                .last_keyframe_fps = 4,
                                                .c = 2e6,
                                                .d = 8e6});
  EXPECT_NEAR(read->Evaluate(features)[0], trained->network.Evaluate(features)[0], 1e-2);

  // On a clip that it has not seen, it spends what there is, where it pays most.
  const ControlLimits limits{
      .min_base_qp = 24, .max_base_qp = 36, .min_keyframe_fps = 2, .max_keyframe_fps = 8};
  const auto tuner = MakeTunerController(*read, limits);
  const ControllerScore score = ScoreController(*tuner, test_rows, SegmentBits::kUplink, 200, 1);
  EXPECT_EQ(score.seconds, 200);
  EXPECT_GT(score.use, 0.9);
  EXPECT_GT(score.accuracy, score.best_accuracy - 0.01);

  // An untrained one does not.
  TunerTrainOptions untrained = options;
  untrained.steps = 1;
  untrained.learning_rate = 1e-9;
  untrained.log.clear();
  const auto worse = MakeTunerController(TrainTuner(data, test, 2, untrained)->network, limits);
  const ControllerScore bad = ScoreController(*worse, test_rows, SegmentBits::kUplink, 200, 1);
  EXPECT_LT(score.miss_octaves, 0.3);
  EXPECT_GT(bad.miss_octaves, 0.8);
}

TEST(TunerTrainerTest, StopsAndRepeats) {
  const auto data = TunerData::Make(World({1e6}), {}).value();
  TunerTrainOptions options{.hidden = {8}, .steps = 20, .batch = 16};
  const auto a = TrainTuner(data, data, 2, options), b = TrainTuner(data, data, 2, options);
  EXPECT_EQ(a->network.ToJson(), b->network.ToJson());
  const std::atomic<bool> stop{true};
  options.stop = &stop;
  EXPECT_THAT(TrainTuner(data, data, 2, options).error().message, HasSubstr("stopped"));
}

TEST(ControllerScoreTest, AControllerThatNeverMovesIsScoredAsByHand) {
  class Fixed final : public Controller {
   public:
    ControlDecision Decide(const ControlInput& input) override {
      EXPECT_GT(input.bandwidth_kbps, 0);
      EXPECT_EQ(input.c, 1e6);
      return {33, 4, 1};
    }
  } fixed;
  // Bits at QP 33 and rate 4: 100 * 2^(0.5 + 1); accuracy 0.7 + 0.05 * 1.5 - 0.02 / 4.
  const auto score = ScoreController(fixed, World({1e6}), SegmentBits::kUplink, 100, 7);
  EXPECT_NEAR(score.accuracy, 0.77, 1e-9);
  // Bandwidths are log-uniform over 4 octaves, of which 1.5 are below.
  EXPECT_NEAR(score.overshoot, 1.5 / 4, 0.12);
  EXPECT_EQ(ScoreController(fixed, {}, SegmentBits::kUplink, 100, 7).seconds, 0);
}

TEST(ControllerScoreTest, AScaleIsScoredByItsOwnRows) {
  class Half final : public Controller {
   public:
    ControlDecision Decide(const ControlInput&) override { return {30, 4, 0.5}; }
  } half;
  auto rows = World({1e6});
  const size_t count = rows.size();
  for (size_t i = 0; i < count; ++i) {
    SegmentRow smaller = rows[i];
    smaller.configuration.scale = 0.5;
    smaller.video_kbps /= 4;
    smaller.accuracy -= 0.1;
    rows.push_back(smaller);
  }
  // 0.8 at full size; bandwidths are log-uniform over 6 octaves, from 25 kb/s on, of which 100
  // kb/s are 2.
  const auto score = ScoreController(half, rows, SegmentBits::kUplink, 200, 7);
  EXPECT_NEAR(score.accuracy, 0.7, 1e-9);
  EXPECT_NEAR(score.overshoot, 2.0 / 6, 0.12);
}

TEST(TunerTrainerTest, ALossThatIsNoneIsAnError) {
  const auto data = TunerData::Make(World({1e6}), {}).value();
  const auto trained =
      TrainTuner(data, data, 2, {.hidden = {8}, .steps = 30, .batch = 16, .learning_rate = 1e20});
  ASSERT_FALSE(trained);
  EXPECT_THAT(trained.error().message, HasSubstr("lower learning rate"));
}

}  // namespace
}  // namespace stac
