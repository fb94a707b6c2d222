#pragma once

#include "stac/capture/image_io.h"
#include "stac/segment/classes.h"
#include "stac/video/frame.h"
#include "stac/video/maps.h"

namespace stac {

// The frame with the labels' colours laid over it.
RgbImage OverlayPicture(const Frame& frame, const LabelMap& labels, const ClassList& classes);
// Black-body colours for a map, scaled to its own range on a logarithmic axis; each cell becomes a
// block so that the picture is about width x height.
RgbImage HeatPicture(const SensitivityMap& map, int width, int height);
// Fine levels bright, coarse ones dark.
RgbImage LevelPicture(const LevelMap& levels, int level_count, int width, int height);
// Where labels agree: grey; where not: red, brighter on the frame's own luma.
RgbImage DifferencePicture(const Frame& frame, const LabelMap& labels, const LabelMap& reference);

}  // namespace stac
