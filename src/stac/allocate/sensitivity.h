#pragma once

#include <vector>

#include "stac/quant/profile.h"
#include "stac/segment/segmenter.h"
#include "stac/video/maps.h"

namespace stac {

// Sensitivity of each region from the gradients of one frame.
struct SensitivityOptions {
  int block_size = 8;        // 4 or 8: DCT blocks on which gradients become |g_s|
  double chroma_weight = 0;  // weight of Cb and Cr sums beside luma's
};

// S_r = sum over projections and coefficients in the region of |DCT of the gradient|
// (+ chroma_weight times the same of Cb and Cr).
SensitivityMap RegionSensitivity(const std::vector<InputGradient>& gradients,
                                 const RegionGrid& regions, const SensitivityOptions& options = {});

// The same of what a network answered, whether it sent gradients or, asked with
// RegionSumsFor(regions, options), their sums. One of them must be there.
SensitivityMap RegionSensitivity(const Segmentation& segmentation, const RegionGrid& regions,
                                 const SensitivityOptions& options = {});
RegionSums RegionSumsFor(const RegionGrid& regions, const SensitivityOptions& options);

// W_r = sum over coefficients of |g_s| / |g_n| (luma, 4x4 blocks): the region's worst-case loss
// increment under table T_l is B_l / M * W_r, because all tables are multiples of one shape.
Grid<double> TableWeights(const InputGradient& gradient, const FrequencyGradients& average,
                          const RegionGrid& regions);

}  // namespace stac
