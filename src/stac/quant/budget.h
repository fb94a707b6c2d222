#pragma once

#include <array>
#include <vector>

#include "stac/quant/profile.h"
#include "stac/video/maps.h"

namespace stac {

// The average gradient at which the tables are anchored, q = step of the QP there: geometric mean
// over the lowest frequencies, row + column <= 1 (4x4) or <= 2 (8x8), that have any. 0 if none has.
double LowFrequencyGradient(const std::array<double, 16>& gradients);
double LowFrequencyGradient(const std::array<double, 64>& gradients);

// B_l of every level, ascending, for a frame of `pixel_count` = M luma samples: from
// q_n^l = 2 B_l / (M |g_n|) and q = StepOfQp(QP_l) at the anchor,
//     B_l = M * LowFrequencyGradient * StepOfQp(QP_l) / 2.
std::vector<double> LevelBudgets(const Profile& profile, int pixel_count);

// The budget B of a frame and the base QP are one knob: B is what all macroblocks together may
// lose if each is of typical sensitivity and coded at the base QP,
//     B = B_r * r_max,  B_r = B_0 * 2^((base_qp - QP_0) / 6) * M_calibration / M,
// with r_max macroblocks, QP_0 = min_qp and B_0 = budget_of_level0. The last factor carries B_0 to
// frames of another size: the loss is a mean over pixels, so a macroblock's share shrinks as the
// frame grows. (1 where the profile does not know M_calibration.)
double BudgetOfBaseQp(const Profile& profile, double base_qp, const RegionGrid& regions);
// The inverse. budget: > 0.
double BaseQpOfBudget(const Profile& profile, double budget, const RegionGrid& regions);

}  // namespace stac
