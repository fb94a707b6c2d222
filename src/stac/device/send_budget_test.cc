#include "stac/device/send_budget.h"

#include <gtest/gtest.h>

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

TEST(SendBudgetTest, TheLastKeyframeMustFitWithRoomToSpare) {
  SendBudget budget;
  budget.StartSegment(0, 100);
  for (int i = 0; i < 3; ++i) budget.OnCoded(3125, 30, false);  // 25 kb each
  EXPECT_FALSE(budget.Allows(900'000, 30));                     // 100 in all, or 107.5
  EXPECT_TRUE(budget.Allows(900'000, 33));                      // 75 and 17.7, or 23
}

TEST(SendBudgetTest, KeyframesBeforeTheLastCountToo) {
  SendBudget budget;
  budget.StartSegment(0, 100);
  budget.OnCoded(2500, 30, false);           // 20 kb
  budget.OnCoded(5000, 30, false);           // 40 kb: 30 are expected next
  EXPECT_FALSE(budget.Allows(640'000, 30));  // 90 of 89 by then
  EXPECT_TRUE(budget.Allows(660'000, 30));   // 90 of 91, and 99 of 100
}

TEST(SendBudgetTest, AnIdrSaysNothingAboutTheNextKeyframe) {
  SendBudget budget;
  budget.StartSegment(0, 1000);
  budget.OnCoded(1250, 30, false);    // 10 kb
  budget.OnCoded(25'000, 30, true);   // 200 kb
  EXPECT_TRUE(budget.Allows(0, 30));  // 220 of 250
}

TEST(SendBudgetTest, WhereAllAreCodedAloneTheLastOneCounts) {
  SendBudget budget;
  budget.StartSegment(0, 100);
  budget.OnCoded(1250, 30, true);
  EXPECT_TRUE(budget.Allows(0, 30));  // as after a first IDR
  budget.OnCoded(1250, 30, true);     // 20 kb in all
  EXPECT_FALSE(budget.Allows(0, 30));
  EXPECT_TRUE(budget.Allows(60'000, 30));  // 30 of 31
}

TEST(SendBudgetTest, AnIdrBetweenOthersSaysNothingAgain) {
  SendBudget budget;
  budget.StartSegment(0, 1000);
  budget.OnCoded(1250, 30, false);  // 10 kb
  for (int i = 0; i < 2; ++i) {
    budget.OnCoded(12'500, 30, true);  // 100 kb
    budget.OnCoded(1250, 30, false);
  }
  EXPECT_TRUE(budget.Allows(0, 30));  // 230 and 10 of 250
}

TEST(SendBudgetTest, KeyframesBeforeAreExpectedAtTheQpOfNow) {
  SendBudget budget;
  budget.StartSegment(0, 100);
  budget.OnCoded(2500, 24, false);           // 20 kb, or 10 at QP 30
  budget.OnCoded(1250, 30, false);           // 10 kb, so 10 are expected next, of 30 in all
  EXPECT_FALSE(budget.Allows(140'000, 30));  // 39
  EXPECT_TRUE(budget.Allows(160'000, 30));   // 41
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

}  // namespace
}  // namespace stac
