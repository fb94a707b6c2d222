#pragma once

#include <span>

#include "stac/base/grid.h"
#include "stac/quant/level_ladder.h"
#include "stac/video/maps.h"

namespace stac {

// The rules are deterministic functions of their arguments; none gives an undefined level for a
// region without gradient.

// Algorithm 1 in O(regions log levels): for each region the level whose worst-case increment
// B_l / M * W_r is closest to B / r_max. Ties go to the finer level, as in the printed loop. A
// region with W_r = 0, for which the printed loop finds all levels equally close and keeps the
// finest, gets the coarsest: the limit for W_r -> 0.
// table_weights: W_r (TableWeights); budget: B; pixel_count: M; level_budgets: B_l, ascending
// (LevelBudgets).
LevelMap AlgorithmOne(const Grid<double>& table_weights, double budget, int pixel_count,
                      std::span<const double> level_budgets);

// Our rule: QP = base_qp + clip(-6 * exponent * (log2 S - mean log2 S), -clip..clip), as a level.
// The frame's mean (over regions with S > 0) is removed, so base_qp alone sets the quality. A
// region with S = 0 gets base_qp + clip; a frame without any gradient gets base_qp everywhere.
struct PowerRule {
  double exponent = 0.7;
  double clip = 6;
};
LevelMap PowerLevels(const SensitivityMap& sensitivity, double base_qp, const PowerRule& rule,
                     const LevelLadder& ladder);

// Two levels (AccMPEG): the most sensitive `fraction` of regions at base_qp, the rest `delta_qp`
// above it. Of equally sensitive regions the first in raster order are chosen.
LevelMap TwoLevels(const SensitivityMap& sensitivity, double base_qp, double delta_qp,
                   double fraction, const LevelLadder& ladder);

// Two levels by distance to segment boundaries (Fig. 1): regions that hold a pixel within
// `distance` pixels (in x and in y) of a boundary at base_qp, the rest `delta_qp` above it. The
// pixels on both sides of a boundary are at distance 0.
LevelMap BoundaryLevels(const LabelMap& labels, int distance, double base_qp, double delta_qp,
                        const RegionGrid& regions, const LevelLadder& ladder);

}  // namespace stac
