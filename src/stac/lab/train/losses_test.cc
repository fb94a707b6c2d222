#include <gtest/gtest.h>

#include <cmath>

#include "stac/lab/train/losses_internal.h"

namespace stac {
namespace {

// Four cells, three of class 0 and one of class 1; the network gives class 0 the probability 3/4.
struct FourCells {
  torch::Tensor logits = torch::zeros({1, 2, 2, 2});
  torch::Tensor teacher = torch::zeros({1, 2, 2, 2});
  FourCells() {
    logits.select(1, 0).fill_(std::log(3.0));
    teacher.select(1, 0).fill_(1);
    teacher[0][0][1][1] = 0;
    teacher[0][1][1][1] = 1;
  }
};

TEST(TeacherLossTest, IsTheMeanCrossEntropyWithoutBalance) {
  const FourCells cells;
  EXPECT_NEAR(TeacherLoss(cells.logits, cells.teacher, 0).item<double>(),
              (3 * std::log(4.0 / 3) + std::log(4.0)) / 4, 1e-6);
}

TEST(TeacherLossTest, FullBalanceGivesEveryClassTheSameWeight) {
  const FourCells cells;
  EXPECT_NEAR(TeacherLoss(cells.logits, cells.teacher, 1).item<double>(),
              (std::log(4.0 / 3) + std::log(4.0)) / 2, 1e-6);
}

TEST(SharpenedTest, RaisesAndScalesToASumOfOne) {
  const torch::Tensor before = torch::tensor({0.6F, 0.3F, 0.1F}).view({1, 3, 1, 1});
  const torch::Tensor after = Sharpened(before, 2).flatten();  // 36, 9, 1 of 46
  EXPECT_NEAR(after[0].item<double>(), 36.0 / 46, 1e-6);
  EXPECT_NEAR(after[1].item<double>(), 9.0 / 46, 1e-6);
  EXPECT_NEAR(after[2].item<double>(), 1.0 / 46, 1e-6);
  EXPECT_TRUE(Sharpened(before, 1).equal(before));
  EXPECT_NEAR(Sharpened(before, 100).flatten()[0].item<double>(), 1, 1e-6);
}

TEST(LabelsLossTest, LeavesOutUnknownLabels) {
  const FourCells cells;
  torch::Tensor labels = torch::full({1, 2, 2}, kUnknownLabel, torch::kLong);
  EXPECT_EQ(LabelsLoss(cells.logits, labels).item<double>(), 0);
  labels[0][0][0] = 1;
  EXPECT_NEAR(LabelsLoss(cells.logits, labels).item<double>(), std::log(4.0), 1e-6);
}

}  // namespace
}  // namespace stac
