#pragma once

#include <span>

#include "stac/base/grid.h"
#include "stac/quant/level_ladder.h"
#include "stac/video/maps.h"

namespace stac {

// Algorithm 1 in O(regions): level of each region whose worst-case increment B_l / M * W_r is
// closest to B / r_max. Ties go to the finer level, as in the printed loop.
LevelMap AlgorithmOne(const Grid<double>& table_weights, double budget, int pixel_count,
                      std::span<const double> level_budgets);

// Our rule: QP = base_qp + clip(-6 * exponent * (log2 S - mean log2 S), -clip..clip), as a level.
// The frame's mean is removed, so base_qp alone sets the quality.
struct PowerRule {
  double exponent = 0.7;
  double clip = 10;
};
LevelMap PowerLevels(const SensitivityMap& sensitivity, double base_qp, const PowerRule& rule,
                     const LevelLadder& ladder);

// Two levels (AccMPEG): the most sensitive `fraction` of regions at base_qp, the rest `delta_qp`
// above it.
LevelMap TwoLevels(const SensitivityMap& sensitivity, double base_qp, double delta_qp,
                   double fraction, const LevelLadder& ladder);

// Two levels by distance to segment boundaries (Fig. 1): regions that hold a pixel within
// `distance` pixels of a boundary at base_qp, the rest `delta_qp` above it.
LevelMap BoundaryLevels(const LabelMap& labels, int distance, double base_qp, double delta_qp,
                        const RegionGrid& regions, const LevelLadder& ladder);

}  // namespace stac
