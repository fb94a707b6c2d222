#include "stac/quant/calibrate.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "stac/quant/block_dct.h"
#include "stac/quant/budget.h"
#include "stac/segment/fake_segmenter.h"

namespace stac {
namespace {

Frame Noise(int width, int height, int seed, ColorSpec color = {}) {
  Frame frame(width, height, color);
  std::mt19937 random(seed);
  for (int i = 0; i < 3; ++i) {
    const PlaneView& plane = frame.plane(i);
    for (int y = 0; y < plane.height; ++y) {
      for (int x = 0; x < plane.width; ++x) {
        frame.MutablePlane(i)[y * plane.stride + x] = static_cast<uint8_t>(random() % 256);
      }
    }
  }
  frame.id = static_cast<FrameId>(seed);
  return frame;
}

// Gradient of the given constant in every luma sample; twice that in Cb, nothing in Cr.
class ConstantSegmenter final : public Segmenter {
 public:
  explicit ConstantSegmenter(float value) : value_(value) { info_.class_count = 2; }
  const NetworkInfo& info() const override { return info_; }
  Result<Segmentation> Run(const Frame& frame) override {
    Segmentation result;
    result.labels = LabelMap(frame.width(), frame.height());
    return result;
  }
  Result<Segmentation> RunWithGradient(const Frame& frame, const Objective& objective) override {
    Segmentation result;
    const int passes = objective.kind == ObjectiveKind::kProjection ? objective.projections : 1;
    for (int k = 0; k < passes; ++k) {
      result.gradients.push_back({Grid<float>(frame.width(), frame.height(), value_),
                                  Grid<float>(frame.width() / 2, frame.height() / 2, 2 * value_),
                                  Grid<float>(frame.width() / 2, frame.height() / 2)});
    }
    return result;
  }
  std::unique_ptr<Segmenter> Clone() const override {
    return std::make_unique<ConstantSegmenter>(value_);
  }

 private:
  NetworkInfo info_;
  float value_;
};

TEST(CalibratorTest, AveragesAreWorkedOutByHand) {
  // A constant block of n x n samples of g has one coefficient, n g.
  ConstantSegmenter segmenter(-0.5f);
  Calibrator calibrator(segmenter);
  calibrator.BeginClip("a");
  ASSERT_TRUE(calibrator.Add(Noise(32, 32, 3)));
  ASSERT_TRUE(calibrator.Add(Noise(64, 32, 4)));
  calibrator.BeginClip("nothing");
  calibrator.BeginClip("b");
  ASSERT_TRUE(calibrator.Add(Noise(32, 32, 0)));
  const auto profile = calibrator.Finish();
  ASSERT_TRUE(profile) << profile.error().message;
  EXPECT_NEAR(profile->gradients.luma4[0], 2, 1e-6);
  EXPECT_NEAR(profile->gradients.luma8[0], 4, 1e-6);
  EXPECT_NEAR(profile->gradients.cb8[0], 8, 1e-6);
  EXPECT_NEAR(profile->gradients.cr8[0], 0, 1e-6);
  EXPECT_NEAR(profile->gradients.chroma4[0], 2, 1e-6);  // mean of Cb and Cr
  EXPECT_NEAR(profile->gradients.luma4[1], 0, 1e-6);
  EXPECT_NEAR(profile->typical_sensitivity, 2 * 4 * 4, 1e-4);  // 2 projections, 4 blocks of 4
  EXPECT_EQ(profile->frames, (std::vector<std::string>{"a: 3-4", "b: 0-0"}));
  EXPECT_EQ(profile->frame_count, 3);
  EXPECT_EQ(profile->pixel_count, (1024 + 2048 + 1024) / 3);
}

TEST(CalibratorTest, AProfileSaysWhatItIsOf) {
  ConstantSegmenter segmenter(1);
  Calibrator calibrator(segmenter, {.max_qp = 40});
  Frame frame(32, 32, {ColorMatrix::kBt601, ColorRange::kFull});
  for (int p = 0; p < 3; ++p) {
    std::fill_n(frame.MutablePlane(p), ptrdiff_t{frame.plane(p).stride} * frame.plane(p).height,
                uint8_t{99});
  }
  calibrator.BeginClip("a");
  ASSERT_TRUE(calibrator.Add(frame));
  const auto profile = calibrator.Finish();
  ASSERT_TRUE(profile) << profile.error().message;
  EXPECT_EQ(profile->max_qp, 40);
  EXPECT_EQ(profile->color, frame.color());
}

TEST(CalibratorTest, RefusesWhatGivesNoProfile) {
  ConstantSegmenter blind(0);
  Calibrator nothing(blind);
  EXPECT_FALSE(nothing.Finish());
  ASSERT_TRUE(nothing.Add(Noise(32, 32, 1)));
  const auto profile = nothing.Finish();
  ASSERT_FALSE(profile);
  EXPECT_NE(profile.error().message.find("no gradient"), std::string::npos);

  FakeSegmenter fake(5);
  Calibrator mixed(fake);
  ASSERT_TRUE(mixed.Add(Noise(32, 32, 1)));
  const auto status = mixed.Add(Noise(32, 32, 1, {ColorMatrix::kBt601, ColorRange::kFull}));
  ASSERT_FALSE(status);
  EXPECT_NE(status.error().message.find("bt601/full"), std::string::npos);
}

TEST(CalibratorTest, BudgetOfLevel0IsTheWorstCaseUnderItsTable) {
  FakeSegmenter segmenter(5);
  Calibrator calibrator(segmenter, {.level_count = 8, .min_qp = 12, .max_qp = 40});
  const Frame frame = Noise(48, 32, 1);
  ASSERT_TRUE(calibrator.Add(frame));
  const auto profile = calibrator.Finish();
  ASSERT_TRUE(profile);
  const auto run = segmenter.RunWithGradient(frame, {.kind = ObjectiveKind::kFakeLabelLoss});
  const Grid<float> coefficients = BlockDct(run->gradients[0].y, 4);
  const double anchor = LowFrequencyGradient(profile->gradients.luma4);
  double log_sum = 0;
  for (int r = 0; r < 6; ++r) {
    double increment = 0;
    for (int y = 0; y < 16; ++y) {
      for (int x = 0; x < 16; ++x) {
        const double q = StepOfQp(12) * anchor / profile->gradients.luma4[y % 4 * 4 + x % 4];
        increment += std::abs(coefficients(r % 3 * 16 + x, r / 3 * 16 + y)) * q / 2;
      }
    }
    log_sum += std::log(increment);
  }
  EXPECT_NEAR(profile->budget_of_level0, std::exp(log_sum / 6), 1e-5 * profile->budget_of_level0);
  // The file can be read back.
  const auto read = ProfileFromJson(ToJson(*profile));
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(ProfileHash(*read), ProfileHash(*profile));
}

TEST(MatricesTest, AreInverseToTheGradientAndAnchoredAtLowFrequencies) {
  FrequencyGradients gradients;
  for (int n = 0; n < 16; ++n) gradients.luma4[n] = n % 4 + n / 4 <= 1 ? 1 : 0.5;
  gradients.luma4[15] = 0.001;
  gradients.luma4[14] = 100;
  gradients.chroma4.fill(3e-9);
  gradients.luma8.fill(7);
  gradients.luma8[63] = 0;
  const ScalingMatrices matrices = MatricesFromGradients(gradients);
  EXPECT_EQ(matrices.intra_y4[0], 16);
  EXPECT_EQ(matrices.intra_y4[4], 16);
  EXPECT_EQ(matrices.intra_y4[5], 32);
  EXPECT_EQ(matrices.intra_y4[15], 255);
  EXPECT_EQ(matrices.intra_y4[14], 4);
  EXPECT_EQ(matrices.inter_c4, FlatMatrices().inter_c4);
  EXPECT_EQ(matrices.intra_y8[62], 16);
  EXPECT_EQ(matrices.intra_y8[63], 255);
  EXPECT_EQ(matrices.intra_y8, matrices.inter_y8);
}

TEST(BudgetTest, BudgetAndBaseQpAreInverse) {
  Profile profile = UncalibratedProfile("net", "", 19);
  profile.budget_of_level0 = 1e-7;
  profile.pixel_count = 480 * 352;
  const RegionGrid regions{480, 352, 32};
  EXPECT_NEAR(BudgetOfBaseQp(profile, profile.min_qp, regions), 1e-7 * 30 * 22, 1e-15);
  EXPECT_NEAR(BudgetOfBaseQp(profile, profile.min_qp + 6, regions), 2e-7 * 30 * 22, 1e-15);
  profile.pixel_count = 0;  // a profile that was not calibrated
  EXPECT_NEAR(BudgetOfBaseQp(profile, profile.min_qp, regions), 1e-7 * 30 * 22, 1e-15);
  profile.pixel_count = 480 * 352;
  EXPECT_NEAR(BaseQpOfBudget(profile, BudgetOfBaseQp(profile, 31.5, regions), regions), 31.5, 1e-9);
  // The same loss at twice the size needs the same QP.
  EXPECT_NEAR(BudgetOfBaseQp(profile, 30, {960, 704, 16}), BudgetOfBaseQp(profile, 30, regions),
              1e-15);
}

TEST(BudgetTest, LevelBudgetsGiveTheStepsOfTheLadder) {
  Profile profile = UncalibratedProfile("net", "", 19);
  profile.gradients.luma4.fill(2e-6);
  const auto budgets = LevelBudgets(profile, 1000);
  const LevelLadder ladder = profile.ladder();
  for (int l = 0; l < ladder.count(); ++l) {
    // q_n^l = 2 B_l / (M g_n)
    EXPECT_NEAR(2 * budgets[l] / (1000 * 2e-6), StepOfQp(ladder.Qp(l)), 1e-9);
  }
}

}  // namespace
}  // namespace stac
