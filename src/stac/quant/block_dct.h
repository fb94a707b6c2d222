#pragma once

#include <array>
#include <span>

#include "stac/base/grid.h"

namespace stac {

// Orthonormal type-II DCT of N x N blocks (N = 4 or 8), in place; row = vertical frequency.
// Orthonormal, so the gradient with respect to coefficients is the DCT of the gradient with
// respect to samples: the identity DCT/IDCT pair of section V-C needs no extra pass.
void ForwardDct4(std::span<float, 16> block);
void ForwardDct8(std::span<float, 64> block);
void InverseDct4(std::span<float, 16> block);
void InverseDct8(std::span<float, 64> block);

// DCT of every size x size block of the plane (size 4 or 8). Blocks that reach over the border are
// padded with zeros; the result is as large as the padded plane.
Grid<float> BlockDct(const Grid<float>& plane, int size);

// Sum of |value| in each cell x cell square; the last column and row may be smaller.
Grid<double> SumMagnitudes(const Grid<float>& values, int cell);

}  // namespace stac
