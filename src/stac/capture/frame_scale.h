#pragma once

#include "stac/video/frame.h"
#include "stac/video/maps.h"

namespace stac {

struct Size {
  int width = 0;
  int height = 0;
  friend bool operator==(const Size&, const Size&) = default;
};

// The largest even size of about the same aspect that fits into max_width x max_height (0: no
// limit), never larger than `size` and never below 16.
Size FitInto(Size size, int max_width, int max_height);

// Scales down by averaging: every new sample is the mean of the area it covers (weights of 1/256
// sample), rounded. Colour, id and time are kept. Not above the size of `frame`, even, >= 16.
Frame ShrinkFrame(const Frame& frame, Size size);

// The label at the centre of every new pixel.
LabelMap ShrinkLabels(const LabelMap& labels, Size size);

// Without the last column or row where those are odd.
LabelMap CropLabels(const LabelMap& labels, Size size);

}  // namespace stac
