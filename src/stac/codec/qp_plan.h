#pragma once

#include <cstdint>

#include "stac/base/grid.h"
#include "stac/video/frame.h"
#include "stac/video/maps.h"

namespace stac {

// Rounds wanted QPs (finite) to the grid that x264 codes exactly: all of the parity of `anchor_qp`,
// so that neighbours are equal or at least two apart, clamped to [min_qp, max_qp]. Each QP is one
// of the two grid values around the wanted one. Rounding errors are carried along each row, so that
// the row's mean is kept, in runs of equal QPs rather than by alternating, which costs bits.
QpMap SnapToParity(const Grid<float>& wanted_qp, int anchor_qp, int min_qp = 1, int max_qp = 51);

// Rounds wanted QPs (finite) to the nearest in [1, kMaxQp], for encoders that code every QP.
QpMap RoundedQp(const Grid<float>& wanted_qp);

// The QP that the encoder gives the slices of a frame with this plan: the one nearest to the mean
// that has the parity of the plan. What AuditQp needs as `first_qp`.
int AnchorQp(const QpMap& planned);
double MeanQp(const QpMap& qp);

// The QP offset that x264's variance adaptive quantization (aq-mode 1) gives each macroblock at the
// given strength: strength * 1.0397 * (log2(max(AC energy of Y, Cb and Cr, 1)) - 14.427). One cell
// per macroblock; those that reach over the border see its samples repeated.
Grid<float> VarianceAqOffsets(const Frame& frame, double strength);

struct QpAudit {
  int64_t macroblocks = 0;
  int64_t coded = 0;       // has the planned QP
  int64_t inherited = 0;   // has the QP of the macroblock before, which is not the planned one
  int64_t mismatched = 0;  // carries a QP that was not planned
  // Of `coded`: the plan differs from the QP of the macroblock before, so that the bitstream must
  // have carried it. The proof that a plan was obeyed at all: 0 if it was ignored.
  int64_t followed = 0;
  void Add(const QpAudit& other);
};
// Compares the plan with the decoder's view. A macroblock without coefficients carries no QP and
// the decoder reports that of its predecessor in coding order; such ones are not mismatches.
// `first_qp`: the QP of the slices, AnchorQp(planned).
QpAudit AuditQp(const QpMap& planned, const QpMap& decoded, int first_qp);

}  // namespace stac
