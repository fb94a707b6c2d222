#pragma once

#include <cstdint>

#include "stac/base/grid.h"

namespace stac {

// Cells below 0 take the value of the nearest cell that is not, by the distance between their
// centres; of those equally near the first in raster order. False, and nothing is changed, if all
// are below 0. Time grows with the number of cells and no faster (Meijster, Roerdink and Hesselink,
// "A general algorithm for computing distance transforms in linear time", 2000).
bool FillFromNearest(Grid<int16_t>& values);

}  // namespace stac
