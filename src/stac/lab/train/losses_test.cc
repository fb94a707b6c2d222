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

TEST(LabelsLossTest, LeavesOutUnknownLabels) {
  const FourCells cells;
  torch::Tensor labels = torch::full({1, 2, 2}, kUnknownLabel, torch::kLong);
  EXPECT_EQ(LabelsLoss(cells.logits, labels).item<double>(), 0);
  labels[0][0][0] = 1;
  EXPECT_NEAR(LabelsLoss(cells.logits, labels).item<double>(), std::log(4.0), 1e-6);
}

}  // namespace
}  // namespace stac
