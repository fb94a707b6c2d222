#include "stac/adapt/stepped_scale.h"

#include <gtest/gtest.h>

#include <vector>

namespace stac {
namespace {

// Asks for the given scales, one after the other, at the last QP.
class Asking final : public Controller {
 public:
  explicit Asking(std::vector<double> scales) : scales_(std::move(scales)) {}
  ControlDecision Decide(const ControlInput& input) override {
    return {.base_qp = input.last_base_qp, .keyframe_fps = 5, .scale = scales_.at(next_++)};
  }

 private:
  std::vector<double> scales_;
  size_t next_ = 0;
};

std::vector<double> ScalesOf(const std::vector<double>& asked, const std::vector<double>& kbps) {
  const auto controller = MakeSteppedScale(std::make_unique<Asking>(asked));
  std::vector<double> scales;
  double last = 1;
  for (size_t i = 0; i < asked.size(); ++i) {
    last = controller->Decide({.bandwidth_kbps = kbps.at(i), .last_scale = last}).scale;
    scales.push_back(last);
  }
  return scales;
}

using Values = std::vector<double>;

TEST(SteppedScaleTest, StepsAreNearestAsFactors) {
  EXPECT_EQ(NearestScaleStep(1), 1);
  EXPECT_EQ(NearestScaleStep(0.87), 1);  // the middle is sqrt(0.75) = 0.866
  EXPECT_EQ(NearestScaleStep(0.86), 0.75);
  EXPECT_EQ(NearestScaleStep(0.62), 0.75);  // sqrt(0.375) = 0.612
  EXPECT_EQ(NearestScaleStep(0.61), 0.5);
  EXPECT_EQ(NearestScaleStep(0.1), 0.5);
}

TEST(SteppedScaleTest, WhoLeavesTheScaleAloneKeepsAnyScale) {
  class Keeping final : public Controller {
   public:
    ControlDecision Decide(const ControlInput& input) override {
      return {.base_qp = 33, .keyframe_fps = 5, .scale = input.last_scale};
    }
  };
  const auto controller = MakeSteppedScale(std::make_unique<Keeping>());
  for (const double scale : {0.6, 0.25}) {
    const auto decision = controller->Decide({.bandwidth_kbps = 400, .last_scale = scale});
    EXPECT_EQ(decision.scale, scale);
    EXPECT_EQ(decision.base_qp, 33);
  }
}

TEST(SteppedScaleTest, AScaleHoldsForFiveDecisions) {
  EXPECT_EQ(ScalesOf(Values(8, 0.5), Values(8, 400)), (Values{1, 1, 1, 1, 0.5, 0.5, 0.5, 0.5}));
  Values asked(5, 0.5);
  asked.resize(12, 1);
  EXPECT_EQ(ScalesOf(asked, Values(12, 400)),
            (Values{1, 1, 1, 1, 0.5, 0.5, 0.5, 0.5, 0.5, 1, 1, 1}));
}

TEST(SteppedScaleTest, AFallOfTheBandwidthTakesItDownAtOnce) {
  Values asked(5, 0.75), kbps(5, 400);
  asked.insert(asked.end(), {0.5, 0.5, 1});
  kbps.insert(kbps.end(), {210, 190, 900});
  // 210 is more than half of what there was at the change; a rise is no reason to hurry.
  EXPECT_EQ(ScalesOf(asked, kbps), (Values{1, 1, 1, 1, 0.75, 0.75, 0.5, 0.5}));
}

TEST(SteppedScaleTest, WhatTheScaleCannotDoTheQpDoes) {
  const auto held = MakeSteppedScale(std::make_unique<Asking>(Values{0.5}));
  const ControlDecision decision = held->Decide({.bandwidth_kbps = 400, .last_base_qp = 30});
  EXPECT_EQ(decision.scale, 1);
  // At half size it would have had BitsAtScale(0.5) of the bits; they halve every 6 QP.
  EXPECT_NEAR(std::exp2(-(decision.base_qp - 30) / 6), BitsAtScale(0.5), 1e-9);
}

TEST(SteppedScaleTest, ScalesBelowTheSmallestAreTheSmallest) {
  // Otherwise the QP would rise every second for a wish that cannot be met.
  const auto smallest = MakeSteppedScale(std::make_unique<Asking>(Values{0.25}));
  EXPECT_EQ(smallest->Decide({.last_base_qp = 30, .last_scale = 0.5}),
            (ControlDecision{30, 5, 0.5}));
}

TEST(SteppedScaleTest, OthersPassThrough) {
  const auto same = MakeSteppedScale(std::make_unique<Asking>(Values{1, 1}));
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(same->Decide({.last_base_qp = 31.7}), (ControlDecision{31.7, 5, 1}));
  }
}

}  // namespace
}  // namespace stac
