#pragma once

#include <memory>

#include "stac/adapt/controller.h"

namespace stac {

// Bits of a picture coded at `scale`, as a share of those at full size and the same QP: in
// proportion to the area. (A street of 480x360 needs 0.51 to 0.53 of them at 0.75, 0.27 to 0.29 at
// 0.5.)
double BitsAtScale(double scale);

// The nearest (as a factor) of the scales 1, 0.75 and 0.5.
double NearestScaleStep(double scale);

struct SteppedScaleOptions {
  int hold = 5;             // decisions (seconds) for which a new scale stays at least
  double sharp_fall = 0.5;  // of the bandwidth since then, after which it may go down at once
};

// Lets a controller choose the scale without changing it all the time: every change opens the
// encoder anew and costs an IDR, several times the bits of another keyframe. The rule:
// - a scale is one of 1, 0.75 and 0.5, the one nearest to what the controller asks for;
// - a new one holds for five decisions, the changing one included; until then only a smaller one is
//   taken, and only when less than half of the bandwidth at the last change is left;
// - the difference to what the controller asks for, within 0.5 to 1, moves the base QP instead, by
//   what keeps the bits.
// A controller that never changes the scale is passed through as it is, whatever the scale.
std::unique_ptr<Controller> MakeSteppedScale(std::unique_ptr<Controller> controller,
                                             const SteppedScaleOptions& options = {});

}  // namespace stac
