#pragma once

#include "stac/video/maps.h"

namespace stac {

// labels_in_now(p) = labels_in_then(p + flow(p)), nearest pixel, clamped at the border (the paper's
// pixel-level mapping). The flow may be coarser than the labels; it is interpolated bilinearly.
// `labels_in_now` is resized; no allocation in steady state. Zero flow is the identity.
void WarpLabels(const LabelMap& labels_in_then, const FlowField& then_from_now,
                LabelMap& labels_in_now);

// Levels of the regions of the current frame: the rounded mean of the levels found at the places
// that the region's pixels (every fourth, or those of a coarser flow grid) come from. Pixels from
// outside the frame do not count; regions with none take the level of the nearest covered region
// (section V-B).
LevelMap WarpLevels(const LevelMap& levels_in_then, const FlowField& then_from_now,
                    const RegionGrid& regions);

}  // namespace stac
