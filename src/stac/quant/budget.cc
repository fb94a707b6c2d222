#include "stac/quant/budget.h"

#include <cmath>

#include "stac/base/check.h"

namespace stac {
namespace {

template <size_t count>
double LowFrequencyMean(const std::array<double, count>& gradients) {
  constexpr int size = count == 16 ? 4 : 8;
  constexpr int last_diagonal = size / 4;
  double log_sum = 0;
  int frequencies = 0;
  for (int v = 0; v <= last_diagonal; ++v) {
    for (int u = 0; u + v <= last_diagonal; ++u) {
      if (!(gradients[v * size + u] > 0)) continue;
      log_sum += std::log(gradients[v * size + u]);
      ++frequencies;
    }
  }
  return frequencies > 0 ? std::exp(log_sum / frequencies) : 0;
}

// B of a frame whose base QP is QP_0.
double BudgetAtLevel0(const Profile& profile, const RegionGrid& regions) {
  const double pixels = static_cast<double>(regions.frame_width) * regions.frame_height;
  const double share =
      profile.pixel_count > 0 ? static_cast<double>(profile.pixel_count) / pixels : 1;
  return profile.budget_of_level0 * share * regions.mb_columns() * regions.mb_rows();
}

}  // namespace

double LowFrequencyGradient(const std::array<double, 16>& gradients) {
  return LowFrequencyMean(gradients);
}
double LowFrequencyGradient(const std::array<double, 64>& gradients) {
  return LowFrequencyMean(gradients);
}

std::vector<double> LevelBudgets(const Profile& profile, int pixel_count) {
  const LevelLadder ladder = profile.ladder();
  const double anchor = LowFrequencyGradient(profile.gradients.luma4);
  std::vector<double> budgets(ladder.count());
  for (int l = 0; l < ladder.count(); ++l) {
    budgets[l] = pixel_count * anchor * StepOfQp(ladder.Qp(l)) / 2;
  }
  return budgets;
}

double BudgetOfBaseQp(const Profile& profile, double base_qp, const RegionGrid& regions) {
  return BudgetAtLevel0(profile, regions) * std::exp2((base_qp - profile.min_qp) / 6);
}

double BaseQpOfBudget(const Profile& profile, double budget, const RegionGrid& regions) {
  STAC_CHECK_GT(budget, 0.0);
  return profile.min_qp + 6 * std::log2(budget / BudgetAtLevel0(profile, regions));
}

}  // namespace stac
