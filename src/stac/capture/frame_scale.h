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

// Scales up with a cubic filter (Catmull-Rom, centres aligned, borders repeated), rounded and
// clamped. Colour, id and time are kept. Even, and not below the size of `frame`.
Frame EnlargeFrame(const Frame& frame, Size size);

// The size at which a frame of `full` size (even, >= 16) is coded at `scale` (0 < scale <= 1 of its
// width and height): the nearest even numbers, at least 16.
Size CodedSize(Size full, double scale);
// True if some scale in kMinScale..1 leads from `full` to `coded`.
inline constexpr double kMinScale = 0.25;
bool IsCodedSize(Size full, Size coded);

// The label at the centre of every new pixel.
LabelMap ShrinkLabels(const LabelMap& labels, Size size);

// Without the last column or row where those are odd.
LabelMap CropLabels(const LabelMap& labels, Size size);

}  // namespace stac
