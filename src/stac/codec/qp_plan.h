#pragma once

#include <cstdint>

#include "stac/base/grid.h"
#include "stac/video/frame.h"
#include "stac/video/maps.h"

namespace stac {

// Rounds wanted QPs to the grid that x264 codes exactly: all of the parity of `anchor_qp`, so that
// neighbours are equal or at least two apart, clamped to [min_qp, max_qp]. Rounding errors are
// carried along each row (error diffusion), so that the mean is kept.
QpMap SnapToParity(const Grid<float>& wanted_qp, int anchor_qp, int min_qp = 1, int max_qp = 51);

// The QP offset that x264's variance adaptive quantization (aq-mode 1) gives each macroblock at the
// given strength: strength * 1.0397 * (log2(max(AC energy of Y, Cb and Cr, 1)) - 14.427).
Grid<float> VarianceAqOffsets(const Frame& frame, double strength);

struct QpAudit {
  int64_t macroblocks = 0;
  int64_t coded = 0;       // certainly carries a QP of its own, or has the planned one
  int64_t inherited = 0;   // has the QP of the macroblock before, which is not the planned one
  int64_t mismatched = 0;  // coded with a QP that was not planned
  void Add(const QpAudit& other);
};
// Compares the plan with the decoder's view. A macroblock without coefficients carries no QP and
// the decoder reports that of its predecessor in coding order; such ones are not mismatches.
QpAudit AuditQp(const QpMap& planned, const QpMap& decoded, int first_qp);

}  // namespace stac
