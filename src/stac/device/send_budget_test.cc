#include "stac/device/send_budget.h"

#include <gtest/gtest.h>

#include <cmath>

namespace stac {
namespace {

TEST(SendBudgetTest, BitsAreSpentAsTheSegmentGoesOn) {
  SendBudget budget;
  budget.StartSegment(5'000'000, 100);  // 100 kb for the segment
  EXPECT_TRUE(budget.Allows(5'000'000, 30));
  budget.OnCoded(2500, 30, false);             // 20 kb
  EXPECT_FALSE(budget.Allows(5'100'000, 30));  // 40 expected, 35 allowed by then
  EXPECT_TRUE(budget.Allows(5'150'000, 30));   // 40
  EXPECT_TRUE(budget.Allows(5'100'000, 36));   // 20 + 10
  for (int i = 0; i < 4; ++i) budget.OnCoded(2500, 30, false);
  EXPECT_FALSE(budget.Allows(5'990'000, 30));  // 120 of 100
  budget.StartSegment(6'000'000, 100);
  EXPECT_TRUE(budget.Allows(6'000'000, 30));
}

TEST(SendBudgetTest, AnIdrSaysNothingAboutTheNextKeyframe) {
  SendBudget budget;
  budget.StartSegment(0, 1000);
  budget.OnCoded(1250, 30, false);    // 10 kb
  budget.OnCoded(25'000, 30, true);   // 200 kb
  EXPECT_TRUE(budget.Allows(0, 30));  // 220 of 250
}

TEST(SendBudgetTest, ASmallerPictureIsExpectedToNeedLess) {
  SendBudget budget;
  budget.StartSegment(0, 100);
  budget.OnCoded(1875, 30, false);  // 15 kb of the 25 that are allowed at once
  EXPECT_FALSE(budget.Allows(0, 30));
  EXPECT_TRUE(budget.Allows(0, 30, 0.5));
  budget.StartSegment(1'000'000, 100);
  budget.OnCoded(1250, 30, false, 0.5);            // 10 kb
  EXPECT_TRUE(budget.Allows(1'000'000, 30, 0.5));  // 20
  EXPECT_FALSE(budget.Allows(1'000'000, 30));
}

TEST(SendBudgetTest, OneKeyframeIsAlwaysAllowedAndAllWithoutAnEstimate) {
  SendBudget budget;
  budget.StartSegment(0, 1);
  budget.OnCoded(100'000, 30, false);
  EXPECT_FALSE(budget.Allows(500'000, 30));
  budget.StartSegment(1'000'000, 1);
  EXPECT_TRUE(budget.Allows(1'000'000, 30));
  budget.StartSegment(2'000'000, 0);
  budget.OnCoded(100'000, 30, false);
  EXPECT_TRUE(budget.Allows(2'000'000, 30));
}

TEST(SendBudgetTest, TheQpIsFittedToWhatIsLeftOfTheSegment) {
  SendBudget budget;
  budget.StartSegment(0, 100);
  EXPECT_EQ(budget.FittedQp(0, 30, 5), 30);  // nothing is known about keyframes
  budget.OnCoded(1875, 30, false);           // 15 kb
  // 80 of 95 kb are left for 4 keyframes from 0.2 s on: 20 each, where 15 are expected.
  EXPECT_NEAR(budget.FittedQp(200'000, 30, 5), 30 + 6 * std::log2(15.0 / 20), 1e-9);
  EXPECT_EQ(budget.FittedQp(200'000, 36, 5), 32);  // 8.5 finer, of which 4 are allowed
  budget.OnCoded(6250, 30, false);  // 50 kb more: 30 are left for 3, where 50 are expected each
  EXPECT_EQ(budget.FittedQp(400'000, 30, 5), 34);  // 4.4, of which 4 are allowed
  budget.OnCoded(12'500, 30, false);               // nothing is left
  EXPECT_EQ(budget.FittedQp(600'000, 30, 5), 34);
  budget.StartSegment(1'000'000, 0);
  EXPECT_EQ(budget.FittedQp(1'000'000, 30, 5), 30);  // an unknown link
}

TEST(SendBudgetTest, ASegmentOfFittedKeyframesFillsTheLinkAndNoMore) {
  // Keyframes need half more and a third less than the last second's did, and 15 % more or less by turns.
  for (const double factor : {1.5, 0.65}) {
    SendBudget budget;
    budget.StartSegment(0, 1000);
    budget.OnCoded(12'500, 30, false);  // 100 kb at QP 30
    budget.StartSegment(1'000'000, 1000);
    double sent_kb = 0;
    for (int i = 0; i < 10; ++i) {
      const Micros now = 1'000'000 + i * 100'000;
      const double qp = budget.FittedQp(now, 30, 10);
      if (!budget.Allows(now, qp)) continue;
      const double kb = factor * (i % 2 ? 1.15 : 0.85) * 100 * std::exp2((30 - qp) / 6);
      budget.OnCoded(static_cast<size_t>(kb * 125), qp, false);
      sent_kb += kb;
    }
    EXPECT_GT(sent_kb, 850) << factor;
    EXPECT_LE(sent_kb, 1000) << factor;
  }
}

}  // namespace
}  // namespace stac
