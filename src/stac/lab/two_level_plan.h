#pragma once

#include "stac/lab/system_spec.h"
#include "stac/video/maps.h"

namespace stac {

// QPs of the two baselines that code each frame at two levels, one per macroblock.

// AccMPEG: the `fraction` of macroblocks with the largest accuracy gradients, widened by `dilate`
// macroblocks in every direction, at `qp`; the others `delta` above it.
Grid<float> AccMpegQp(const SensitivityMap& accuracy_gradients, const SystemSpec& spec);

// Boundary-guided: macroblocks with a pixel within `distance` pixels of a segment boundary at
// `qp`; the others `delta` above it. `labels` at the size that is coded.
Grid<float> BoundaryQp(const LabelMap& labels, const SystemSpec& spec);

}  // namespace stac
