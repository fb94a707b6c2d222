#pragma once

#include <vector>

#include "stac/quant/profile.h"
#include "stac/video/maps.h"

namespace stac {

// B_l of every level, ascending, for a frame of `pixel_count` = M luma samples:
// q_n^l = 2 B_l / (M |g_n|) solved for B_l at the lowest frequency, where the matrices are anchored
// at flat and q is H.264's step at QP_l. All zeros for a profile that was never calibrated.
std::vector<double> LevelBudgets(const Profile& profile, int pixel_count);

// The budget B of a frame and the base QP are one knob: B is what all macroblocks together may
// lose if each is of typical sensitivity and coded at the base QP,
//     B = budget_of_level0 * 2^((base_qp - QP_0) / 6) * macroblocks.
double BudgetOfBaseQp(const Profile& profile, double base_qp, const RegionGrid& regions);
// The inverse. budget: > 0.
double BaseQpOfBudget(const Profile& profile, double budget, const RegionGrid& regions);

}  // namespace stac
