#include "stac/allocate/sensitivity.h"

#include <cmath>

#include "stac/base/check.h"
#include "stac/quant/block_dct.h"

namespace stac {
namespace {

// Adds `weight` times the sums of |coefficient| over the regions, whose size in this plane is
// `cell`, to `sums`.
void AddPlane(const Grid<float>& gradient, int block_size, int cell, double weight,
              Grid<double>& sums) {
  const Grid<double> plane_sums = SumMagnitudes(BlockDct(gradient, block_size), cell);
  STAC_CHECK(plane_sums.SameSize(sums));
  for (size_t i = 0; i < sums.size(); ++i) sums[i] += weight * plane_sums[i];
}

}  // namespace

SensitivityMap RegionSensitivity(const std::vector<InputGradient>& gradients,
                                 const RegionGrid& regions, const SensitivityOptions& options) {
  Grid<double> sums(regions.columns(), regions.rows());
  for (const InputGradient& gradient : gradients) {
    STAC_CHECK(gradient.y.SameSize(regions.frame_width, regions.frame_height));
    AddPlane(gradient.y, options.block_size, regions.region_size, 1, sums);
    if (options.chroma_weight > 0) {
      for (const Grid<float>* chroma : {&gradient.cb, &gradient.cr}) {
        AddPlane(*chroma, options.block_size, regions.region_size / 2, options.chroma_weight, sums);
      }
    }
  }
  SensitivityMap sensitivity(sums.width(), sums.height());
  for (size_t i = 0; i < sums.size(); ++i) sensitivity[i] = static_cast<float>(sums[i]);
  return sensitivity;
}

SensitivityMap RegionSensitivity(const Segmentation& segmentation, const RegionGrid& regions,
                                 const SensitivityOptions& options) {
  if (segmentation.sums.empty()) {
    STAC_CHECK(!segmentation.gradients.empty());
    return RegionSensitivity(segmentation.gradients, regions, options);
  }
  STAC_CHECK(segmentation.sums.SameSize(regions.columns(), regions.rows()));
  return segmentation.sums;
}

RegionSums RegionSumsFor(const RegionGrid& regions, const SensitivityOptions& options) {
  return {.region_size = regions.region_size,
          .block_size = options.block_size,
          .chroma_weight = options.chroma_weight};
}

Grid<double> TableWeights(const InputGradient& gradient, const FrequencyGradients& average,
                          const RegionGrid& regions) {
  STAC_CHECK(gradient.y.SameSize(regions.frame_width, regions.frame_height));
  double inverse[16];
  for (int n = 0; n < 16; ++n) {
    // A frequency without any gradient in the calibration says nothing about this frame.
    inverse[n] = average.luma4[n] > 0 ? 1 / average.luma4[n] : 0;
  }
  const Grid<float> coefficients = BlockDct(gradient.y, 4);
  Grid<double> weights(regions.columns(), regions.rows());
  for (int y = 0; y < coefficients.height(); ++y) {
    const auto row = coefficients.Row(y);
    const auto row_weights = weights.Row(y / regions.region_size);
    const double* row_inverse = inverse + y % 4 * 4;
    for (int x = 0; x < coefficients.width(); ++x) {
      row_weights[x / regions.region_size] += std::abs(row[x]) * row_inverse[x % 4];
    }
  }
  return weights;
}

}  // namespace stac
