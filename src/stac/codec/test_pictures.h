#pragma once

#include <vector>

#include "stac/video/frame.h"
#include "stac/video/maps.h"

// Pictures for the tests of this folder.

namespace stac {

// A textured plane that moves by (3, 1) pixels a frame, with a square that moves the other way and
// sensor noise of the given standard deviation.
std::vector<Frame> MovingTexture(int width, int height, int count, double noise,
                                 ColorSpec color = {});

// The first `count` frames of CamVid 0016E5 (480x360, BT.601 limited) and the human labels of
// these frames; empty without the data folder.
std::vector<Frame> CamVidFrames(int count, int first = 0);
std::vector<LabelMap> CamVidLabels(int count, int first = 0);

Frame Crop(const Frame& frame, int width, int height);

}  // namespace stac
