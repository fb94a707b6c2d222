#pragma once

#include "stac/video/maps.h"

namespace stac {

// Label maps at a coarser grid, for coding. Networks decide on grids of 4 to 16 pixels and enlarge
// what they find, so the course of a boundary holds less than its pixels do.

// The grid that pays at a base QP: 1 below 24, 2 below 31, else 3. The coarser the video, the less
// the last pixels of a boundary matter beside what coding changes (docs/results.md).
int LabelGridFor(double base_qp);
// The grid for labels that are only to tell how they move (Hello::coarse_labels).
inline constexpr int kMotionLabelGrid = 16;

// Size of a map of `size` pixels at a grid of `grid` pixels.
constexpr int ReducedSize(int size, int grid) { return (size + grid - 1) / grid; }

// The commonest label of each cell of grid x grid pixels (of equally common ones the smallest);
// cells at the right and lower border may be cut. Grid 1 is the identity.
LabelMap ReduceLabels(const LabelMap& labels, int grid);

// A map of width x height pixels from one of cells: each pixel takes the label with the largest
// weight among the 3x3 cells around it, weighted by a Gaussian of the distance to their centres,
// which draws the boundary between cells as a smooth curve (of equal weights the smaller label).
// `cells` must be of ReducedSize. Grid 1 is the identity.
LabelMap EnlargeLabels(const LabelMap& cells, int grid, int width, int height);

}  // namespace stac
