#include "stac/device/adaptation.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace stac {
namespace {

constexpr Micros kSecond = 1'000'000;

// Asks for what it is told to and remembers what it was asked.
class Recorder final : public Controller {
 public:
  explicit Recorder(std::vector<ControlInput>* inputs, double scale = 1)
      : inputs_(inputs), scale_(scale) {}
  ControlDecision Decide(const ControlInput& input) override {
    inputs_->push_back(input);
    return {.base_qp = input.last_base_qp + 2, .keyframe_fps = 99, .scale = scale_};
  }

 private:
  std::vector<ControlInput>* inputs_;
  double scale_;
};

class AdaptationTest : public ::testing::Test {
 protected:
  AdaptationTest() {
    adaptation_.OnFrame(MakeGreyFrame(32, 16));
    EXPECT_FALSE(adaptation_.Decide(0, stats_));
  }
  std::vector<ControlInput> inputs_;
  LinkStats stats_{.estimated_kbps = 500};
  Adaptation adaptation_{std::make_unique<Recorder>(&inputs_),
                         {.start = {.base_qp = 30, .keyframe_fps = 4}, .share = 0.8, .spare = 1}};
};

TEST_F(AdaptationTest, DecidesOnceAPeriodFromWhatWasSent) {
  adaptation_.OnKeyframeSent(10'000, false);
  adaptation_.OnKeyframeSent(15'000, false);
  adaptation_.OnLabelsSent(12'500);
  stats_.bytes_acknowledged = 37'500;
  EXPECT_FALSE(adaptation_.Decide(kSecond - 1, stats_));
  const auto record = adaptation_.Decide(kSecond, stats_);
  ASSERT_TRUE(record);
  EXPECT_DOUBLE_EQ(record->sent_kbps, 200);
  EXPECT_DOUBLE_EQ(record->label_kbps, 100);
  ASSERT_EQ(inputs_.size(), 1u);
  EXPECT_DOUBLE_EQ(inputs_[0].last_kbps, 200);
  EXPECT_DOUBLE_EQ(inputs_[0].bandwidth_kbps, 0.8 * 500 - 100);  // what labels leave
  EXPECT_DOUBLE_EQ(inputs_[0].last_base_qp, 30);
  EXPECT_DOUBLE_EQ(inputs_[0].last_keyframe_fps, 2);  // what happened, not what was wanted
  EXPECT_GT(inputs_[0].c, 0);
  EXPECT_EQ(record->decision, (ControlDecision{32, 30, 1}));  // within the limits
  EXPECT_EQ(adaptation_.decision(), record->decision);
  EXPECT_FALSE(adaptation_.Decide(kSecond + 1, stats_));
}

TEST_F(AdaptationTest, AnOutageIsNoPartOfAPeriod) {
  adaptation_.OnKeyframeSent(10'000, false);
  adaptation_.OnConnected();
  EXPECT_FALSE(adaptation_.Decide(60 * kSecond, stats_));
  adaptation_.OnKeyframeSent(25'000, true);
  stats_.bytes_acknowledged = 25'000;
  const auto record = adaptation_.Decide(61 * kSecond, stats_);
  ASSERT_TRUE(record);
  EXPECT_DOUBLE_EQ(record->sent_kbps, 200);
  ASSERT_EQ(inputs_.size(), 1u);
  EXPECT_DOUBLE_EQ(inputs_[0].last_keyframe_fps, 1);
}

TEST_F(AdaptationTest, WhatTheLastLinkCarriedHoldsNoKeyframeOfTheNextOneBack) {
  adaptation_.OnKeyframeSent(50'000, false);
  stats_.bytes_acknowledged = 50'000;
  ASSERT_TRUE(adaptation_.Decide(kSecond, stats_));
  adaptation_.OnKeyframeSent(100'000, false);  // more than a second of 500 kb/s
  stats_.bytes_acknowledged = 150'000;
  EXPECT_FALSE(adaptation_.KeyframeQp(kSecond + 100'000, stats_));
  adaptation_.OnConnected();
  EXPECT_TRUE(adaptation_.KeyframeQp(kSecond + 100'000, {}));
}

TEST_F(AdaptationTest, KeepsTheDecisionWhileNothingIsKnownOrGetsThrough) {
  stats_.estimated_kbps = 0;
  adaptation_.OnKeyframeSent(25'000, false);
  EXPECT_EQ(adaptation_.Decide(kSecond, stats_)->decision.base_qp, 30);
  // Nor is there a budget to keep to.
  adaptation_.OnKeyframeSent(25'000, false);
  EXPECT_TRUE(adaptation_.KeyframeQp(kSecond + 1, stats_));
  // An outage: nothing is acknowledged, the estimate decays.
  stats_ = {.estimated_kbps = 3, .unsent_bytes = 5000};
  const auto record = adaptation_.Decide(2 * kSecond, stats_);
  EXPECT_TRUE(record->stalled);
  EXPECT_EQ(record->decision.base_qp, 30);
  EXPECT_TRUE(inputs_.empty());
  // It is over; nothing was sent, so the last period in which something was counts.
  stats_ = {.bytes_acknowledged = 5000, .estimated_kbps = 400};
  EXPECT_FALSE(adaptation_.Decide(3 * kSecond, stats_)->stalled);
  ASSERT_EQ(inputs_.size(), 1u);
  EXPECT_DOUBLE_EQ(inputs_[0].last_kbps, 200);
  EXPECT_DOUBLE_EQ(inputs_[0].bandwidth_kbps, 320);
}

TEST_F(AdaptationTest, PlansWithAtMostFourTimesWhatArrivedLately) {
  stats_.estimated_kbps = 5000;  // as bursts of a packet or two may make it seem
  stats_.bytes_acknowledged = 12'500;
  adaptation_.OnKeyframeSent(30'000, false);  // more than half of it waits
  const auto record = adaptation_.Decide(kSecond, stats_);
  EXPECT_DOUBLE_EQ(record->estimate_kbps, 5000);
  EXPECT_DOUBLE_EQ(record->trusted_kbps, 400);
  EXPECT_DOUBLE_EQ(inputs_[0].bandwidth_kbps, 0.8 * 400);
  stats_.bytes_acknowledged += 1;
  stats_.unsent_bytes = 16'000;  // 320 ms at 400 kb/s
  EXPECT_FALSE(adaptation_.KeyframeQp(kSecond, stats_));
  stats_.unsent_bytes = 14'000;
  EXPECT_TRUE(adaptation_.KeyframeQp(kSecond, stats_));
}

TEST_F(AdaptationTest, EveryPeriodCountsItsOwn) {
  adaptation_.OnKeyframeSent(25'000, false);
  adaptation_.OnLabelsSent(12'500);
  stats_.bytes_acknowledged = 37'500;
  ASSERT_TRUE(adaptation_.Decide(kSecond, stats_));
  adaptation_.OnKeyframeSent(12'500, false);
  stats_.bytes_acknowledged = 50'000;
  const auto second = adaptation_.Decide(2 * kSecond, stats_);
  EXPECT_DOUBLE_EQ(second->sent_kbps, 100);
  EXPECT_DOUBLE_EQ(second->label_kbps, 0);
  EXPECT_EQ(second->keyframes, 1);
  EXPECT_EQ(second->skipped, 0);
  // What was acknowledged in the period before does not count as this one's.
  adaptation_.OnKeyframeSent(12'500, false);
  stats_.unsent_bytes = 12'500;
  EXPECT_TRUE(adaptation_.Decide(3 * kSecond, stats_)->stalled);
}

// A stalled period proves nothing, and what was proven fades.
TEST_F(AdaptationTest, TrustComesFromWhatGotThrough) {
  stats_.estimated_kbps = 50'000;
  adaptation_.OnKeyframeSent(12'500, false);  // 100 kb/s
  stats_.bytes_acknowledged = 12'500;
  EXPECT_DOUBLE_EQ(adaptation_.Decide(kSecond, stats_)->trusted_kbps, 400);
  adaptation_.OnKeyframeSent(125'000, false);
  stats_.unsent_bytes = 125'000;
  EXPECT_DOUBLE_EQ(adaptation_.Decide(2 * kSecond, stats_)->trusted_kbps, 400);
  adaptation_.OnKeyframeSent(1250, false);
  stats_ = {.bytes_acknowledged = 138'750, .estimated_kbps = 50'000};
  EXPECT_DOUBLE_EQ(adaptation_.Decide(3 * kSecond, stats_)->trusted_kbps, 320);
}

TEST(AdaptationStartTest, LiesWithinTheLimits) {
  std::vector<ControlInput> inputs;
  const Adaptation adaptation(
      std::make_unique<Recorder>(&inputs),
      {.start = {.base_qp = 60, .keyframe_fps = 4}, .limits = {.max_base_qp = 51}});
  EXPECT_EQ(adaptation.decision().base_qp, 51);
}

TEST_F(AdaptationTest, APeriodCodesNoMoreThanTheLinkCarries) {
  adaptation_.OnKeyframeSent(25'000, true);
  stats_.bytes_acknowledged = 25'000;
  ASSERT_TRUE(adaptation_.Decide(kSecond, stats_));  // 400 kb/s may be sent: 80 % of 500
  adaptation_.OnKeyframeSent(20'000, false);         // 160 kb
  EXPECT_FALSE(adaptation_.KeyframeQp(kSecond + 100'000, stats_));  // 320 kb after 0.35 s' worth
  EXPECT_TRUE(adaptation_.KeyframeQp(kSecond + 600'000, stats_));   // 320 of 340
  EXPECT_EQ(adaptation_.Decide(2 * kSecond, stats_)->skipped, 1);
  EXPECT_EQ(adaptation_.Decide(3 * kSecond, stats_)->skipped, 0);
}

// Without spare keyframes what is not planned with is not spent either.
TEST_F(AdaptationTest, APeriodCodesNoMoreThanItsShare) {
  adaptation_.OnKeyframeSent(25'000, false);
  stats_.bytes_acknowledged = 25'000;
  ASSERT_TRUE(adaptation_.Decide(kSecond, stats_));  // 400 of 500 kb/s
  adaptation_.OnKeyframeSent(37'500, false);         // 300 kb, and some 160 may come at QP 36
  EXPECT_FALSE(adaptation_.KeyframeQp(kSecond + 999'000, stats_));
}

TEST_F(AdaptationTest, SpareKeyframesTakeWhatThePlanLeaves) {
  Adaptation adaptation(
      std::make_unique<Recorder>(&inputs_),
      {.start = {.base_qp = 30, .keyframe_fps = 4}, .share = 0.5, .spare = 3, .source_fps = 20});
  EXPECT_FALSE(adaptation.Decide(0, stats_));
  for (int i = 0; i < 8; ++i) adaptation.OnKeyframeSent(5000, false);
  stats_.bytes_acknowledged = 40'000;
  const auto record = adaptation.Decide(kSecond, stats_);
  ASSERT_EQ(inputs_.size(), 1u);
  EXPECT_DOUBLE_EQ(inputs_[0].last_keyframe_fps, 4);  // as planned, of the 8 that went
  EXPECT_DOUBLE_EQ(inputs_[0].last_kbps, 160);
  EXPECT_DOUBLE_EQ(inputs_[0].bandwidth_kbps, 250);
  EXPECT_DOUBLE_EQ(record->decision.keyframe_fps, 30);
  EXPECT_DOUBLE_EQ(record->keyframe_rate, 30);  // the limit of all
  // All of the link may be spent, unlike the share that is planned with ...
  for (int i = 0; i < 8; ++i) adaptation.OnKeyframeSent(5000, false);  // 320 kb of 500
  EXPECT_FALSE(adaptation.KeyframeQp(kSecond + 400'000, stats_));
  EXPECT_TRUE(adaptation.KeyframeQp(kSecond + 600'000, {.estimated_kbps = 500}));
  // ... but only when the link would be through with what it has before the next frame.
  EXPECT_TRUE(
      adaptation.KeyframeQp(kSecond + 600'000, {.estimated_kbps = 500, .unsent_bytes = 3000}));
  EXPECT_FALSE(
      adaptation.KeyframeQp(kSecond + 600'000, {.estimated_kbps = 500, .unsent_bytes = 3200}));
}

// A camera that sees nothing, and then a car.
TEST_F(AdaptationTest, KeyframesThatGrowAreCodedCoarserAtOnce) {
  class Same final : public Controller {
   public:
    ControlDecision Decide(const ControlInput&) override {
      return {.base_qp = 30, .keyframe_fps = 4};
    }
  };
  Adaptation adaptation(std::make_unique<Same>(), {.start = {.base_qp = 30, .keyframe_fps = 4},
                                                   .limits = {.max_base_qp = 33},
                                                   .spare = 2,
                                                   .coarser = 4});
  EXPECT_FALSE(adaptation.Decide(0, stats_));
  EXPECT_EQ(adaptation.KeyframeQp(0, stats_), 30);
  adaptation.OnKeyframeSent(5000, true);
  adaptation.OnKeyframeSent(5000, false);
  stats_.bytes_acknowledged = 10'000;
  EXPECT_EQ(adaptation.Decide(kSecond, stats_)->mean_qp, 30);
  // 320 kb/s are trusted: four times what was sent. Eight keyframes of 40 kb fit exactly.
  EXPECT_DOUBLE_EQ(*adaptation.KeyframeQp(kSecond, stats_), 30);
  adaptation.OnKeyframeSent(8750, false);  // 70 kb; 55 are expected next
  const double coarser = *adaptation.KeyframeQp(kSecond + 900'000, stats_);
  EXPECT_DOUBLE_EQ(coarser, 30 + 6 * std::log2(55.0 / 40));
  adaptation.OnKeyframeSent(8750, false);
  EXPECT_EQ(*adaptation.KeyframeQp(kSecond + 999'999, stats_), 33);  // the limit
  const auto record = adaptation.Decide(2 * kSecond, stats_);
  EXPECT_DOUBLE_EQ(record->mean_qp, (30 + coarser) / 2);
  EXPECT_EQ(record->decision.base_qp, 30);
}

TEST_F(AdaptationTest, LabelsThatTakeTheWholeLinkLeaveASecondItsFirstKeyframe) {
  adaptation_.OnKeyframeSent(1000, false);
  adaptation_.OnLabelsSent(100'000);
  stats_.bytes_acknowledged = 101'000;
  ASSERT_TRUE(adaptation_.Decide(kSecond, stats_));
  EXPECT_TRUE(adaptation_.KeyframeQp(kSecond + 1, stats_));
  adaptation_.OnKeyframeSent(1000, false);
  EXPECT_FALSE(adaptation_.KeyframeQp(kSecond + 900'000, stats_));
}

TEST_F(AdaptationTest, NoKeyframeIsSpareBeforeTheLinkIsKnown) {
  Adaptation adaptation(std::make_unique<Recorder>(&inputs_),
                        {.start = {.base_qp = 30, .keyframe_fps = 4}, .spare = 3});
  EXPECT_FALSE(adaptation.Decide(0, {}));
  EXPECT_DOUBLE_EQ(adaptation.Decide(kSecond, {})->keyframe_rate, 4);
  EXPECT_DOUBLE_EQ(adaptation.Decide(2 * kSecond, stats_)->keyframe_rate, 12);
}

TEST_F(AdaptationTest, TheScaleMovesInStepsThatHold) {
  Adaptation adaptation(std::make_unique<Recorder>(&inputs_, 0.6), {.start = {.base_qp = 30}});
  EXPECT_FALSE(adaptation.Decide(0, stats_));
  for (int second = 1; second <= 6; ++second) {
    adaptation.OnKeyframeSent(10'000, false);
    stats_.bytes_acknowledged += 10'000;
    const auto record = adaptation.Decide(second * kSecond, stats_);
    ASSERT_TRUE(record);
    EXPECT_EQ(record->decision.scale, second < 5 ? 1 : 0.5) << second;
    EXPECT_EQ(record->input.last_scale, second < 6 ? 1 : 0.5) << second;
  }
}

TEST_F(AdaptationTest, AnIdleSenderIsNotStalled) {
  adaptation_.OnKeyframeSent(1000, false);
  EXPECT_FALSE(adaptation_.Decide(kSecond, stats_)->stalled);
  EXPECT_EQ(inputs_.size(), 1u);
}

TEST_F(AdaptationTest, DropsBeforeCodingWhileTooMuchIsOnItsWay) {
  EXPECT_TRUE(adaptation_.KeyframeQp(0, {}));
  EXPECT_TRUE(
      adaptation_.KeyframeQp(0, {.unsent_bytes = 100'000}));  // a new link: nothing is known
  LinkStats stats{.bytes_acknowledged = 1, .rtt_ms = 50, .estimated_kbps = 400};
  stats.unsent_bytes = 17'500;  // 350 ms: 300 and the round trip
  EXPECT_TRUE(adaptation_.KeyframeQp(0, stats));
  stats.unsent_bytes = 17'600;
  EXPECT_FALSE(adaptation_.KeyframeQp(0, stats));
  stats.estimated_kbps = 800;  // it was only the estimate
  EXPECT_TRUE(adaptation_.KeyframeQp(0, stats));
  EXPECT_EQ(adaptation_.Decide(kSecond, stats_)->skipped, 1);
}

}  // namespace
}  // namespace stac
