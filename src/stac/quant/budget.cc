#include "stac/quant/budget.h"

#include <cmath>

#include "stac/base/check.h"

namespace stac {

std::vector<double> LevelBudgets(const Profile& profile, int pixel_count) {
  const LevelLadder ladder = profile.ladder();
  std::vector<double> budgets(ladder.count());
  for (int l = 0; l < ladder.count(); ++l) {
    budgets[l] = pixel_count * profile.gradients.luma4[0] * StepOfQp(ladder.Qp(l)) / 2;
  }
  return budgets;
}

double BudgetOfBaseQp(const Profile& profile, double base_qp, const RegionGrid& regions) {
  return profile.budget_of_level0 * std::exp2((base_qp - profile.min_qp) / 6) *
         regions.mb_columns() * regions.mb_rows();
}

double BaseQpOfBudget(const Profile& profile, double budget, const RegionGrid& regions) {
  STAC_CHECK_GT(budget, 0.0);
  const double of_macroblock = budget / (regions.mb_columns() * regions.mb_rows());
  return profile.min_qp + 6 * std::log2(of_macroblock / profile.budget_of_level0);
}

}  // namespace stac
