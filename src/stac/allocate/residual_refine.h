#pragma once

#include <array>
#include <cstdint>

#include "stac/quant/level_ladder.h"
#include "stac/video/frame.h"
#include "stac/video/maps.h"

namespace stac {

// Section V-C: the levels l' of a frame, chosen for the picture itself, become levels l'' for its
// residual against a prediction (eq. 7), region by region:
//     minimize V'' = sum log2|s'' / q|                over l''
//     subject to the error of the residual coded at l'' <= that of the picture coded at l'   (7a)
//                V'' <= V'                                                                  (7b)
// where no level meets both, the region keeps l'.
//
// Everything is computed on luma in 4x4 orthonormal DCT blocks, as the paper's codec has them, with
// rounding to the nearest multiple of q_n = StepOfQp(QP_l) * matrix_n / 16:
// - the picture is coded alone at l' and reconstructed to 8-bit samples; the residual of that
//   reconstruction against the prediction is transformed, and the sum over the region of its
//   coefficients' distance to those of the true residual is the threshold of (7a). (Without the
//   rounding and clipping to samples it would equal the sum of |s' - round(s'/q) q|.)
// - sizes are sums of log2|s / q| over coefficients with |s| >= q; smaller ones cost nothing.
// - the search starts at `start`'s level. It goes finer until (7a) holds, then coarser until (7b)
//   does, and from a level that meets both on, coarser while they hold and the size falls.
struct RefineOptions {
  std::array<uint8_t, 16> matrix{};  // raster order, 16 = flat; as ScalingMatrices::inter_y4
};

struct RefinedLevels {
  LevelMap levels;           // l''
  Grid<uint8_t> fell_back;   // 1 where no level met the constraints
  Grid<double> error;        // sum of coefficient errors at the chosen level (fell back: at l')
  Grid<double> error_limit;  // threshold of (7a)
  Grid<double> size;         // V'' at the chosen level (fell back: V')
  Grid<double> size_limit;   // V'
};

// raw: the frame to be coded; prediction: what it is predicted from, same size (motion-compensated
// reference, or the last reconstruction); levels: l'; start: l'' of the last keyframe, or nullptr
// to start at l'. Maps are regions.columns() x regions.rows() with levels of `ladder`. Costs one
// pass over the samples for each level visited, two or three as a rule.
RefinedLevels RefineForResidual(const Frame& raw, const Frame& prediction, const LevelMap& levels,
                                const LevelMap* start, const RegionGrid& regions,
                                const LevelLadder& ladder, const RefineOptions& options);

}  // namespace stac
