#pragma once

#include <vector>

#include "stac/base/grid.h"
#include "stac/video/frame.h"

namespace stac {

// Scales planes of one size up to another with a cubic filter (Catmull-Rom, centres aligned,
// borders repeated), and takes gradients back: Adjoint is the exact transpose of Enlarge.
// Immutable after construction.
class PlaneScaler {
 public:
  PlaneScaler(int from_width, int from_height, int to_width, int to_height);

  Grid<float> Enlarge(const PlaneView& plane) const;
  // d objective / d small plane from d objective / d large plane.
  Grid<float> Adjoint(const Grid<float>& gradient) const;

 private:
  struct Taps {
    int index[4];
    float weight[4];
  };
  static std::vector<Taps> MakeTaps(int from, int to);

  int from_width_, from_height_;
  std::vector<Taps> columns_, rows_;
};

// An I420 frame scaled up to width x height (even, not smaller); id, time and colour are kept.
Frame EnlargeFrame(const Frame& frame, int width, int height);

}  // namespace stac
