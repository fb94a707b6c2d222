#include "stac/lab/accuracy_gradient.h"

#include <cmath>
#include <cstdlib>

#include "stac/base/check.h"

namespace stac {
namespace {

// Adds the sum of |gradient| * |high - low| of each cell x cell block of a plane.
void AddPlane(const Grid<float>& gradient, const PlaneView& high, const PlaneView& low, int cell,
              SensitivityMap& map) {
  for (int y = 0; y < high.height; ++y) {
    for (int x = 0; x < high.width; ++x) {
      const int error = std::abs(int{high.At(x, y)} - int{low.At(x, y)});
      map(x / cell, y / cell) += std::abs(gradient(x, y)) * static_cast<float>(error);
    }
  }
}

}  // namespace

SensitivityMap AccuracyGradient(const Frame& high, const Frame& low,
                                const InputGradient& gradient) {
  STAC_CHECK_EQ(high.width(), low.width());
  STAC_CHECK_EQ(high.height(), low.height());
  const RegionGrid grid{.frame_width = high.width(), .frame_height = high.height()};
  SensitivityMap map(grid.mb_columns(), grid.mb_rows());
  AddPlane(gradient.y, high.plane(0), low.plane(0), kMacroblock, map);
  AddPlane(gradient.cb, high.plane(1), low.plane(1), kMacroblock / 2, map);
  AddPlane(gradient.cr, high.plane(2), low.plane(2), kMacroblock / 2, map);
  return map;
}

}  // namespace stac
