#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "stac/base/check.h"
#include "stac/segment/torch_ops_internal.h"

namespace stac {
namespace {

// Row k holds c_k cos((2i + 1) k pi / 2n), of unit length.
at::Tensor DctBasis(int64_t n, const at::TensorOptions& options) {
  const auto i = at::arange(n, at::kDouble), k = i.view({n, 1});
  const auto waves = at::cos((2 * i + 1) * k * (std::numbers::pi / static_cast<double>(2 * n)));
  const auto scale = at::full({n, 1}, std::sqrt(2.0 / static_cast<double>(n)), at::kDouble);
  scale[0].div_(std::numbers::sqrt2);
  return (waves * scale).to(options);
}

// [rows, columns] of regions; plane: [H,W].
at::Tensor PlaneSums(const at::Tensor& plane, int64_t block, int64_t region) {
  // A region that reaches far beyond the plane holds no more than one that just covers it.
  const int64_t largest = std::max(plane.size(0), plane.size(1));
  region = std::min(region, (largest + block - 1) / block * block);
  const int64_t rows = (plane.size(0) + region - 1) / region;
  const int64_t columns = (plane.size(1) + region - 1) / region;
  const int64_t height = rows * region, width = columns * region;
  const auto whole =
      at::constant_pad_nd(plane, {0, width - plane.size(1), 0, height - plane.size(0)});
  const auto basis = DctBasis(block, plane.options());
  const auto along_rows = at::matmul(whole.reshape({height * width / block, block}), basis.t());
  const auto coefficients = at::matmul(basis, along_rows.reshape({height / block, block, width}));
  return coefficients.abs().reshape({rows, region, columns, region}).sum({1, 3});
}

}  // namespace

void AddRegionSums(at::Tensor by_rgb, const InputSource& source, double factor,
                   const RegionSums& wanted, Grid<float>& sums) {
  STAC_CHECK(wanted.block_size == 4 || wanted.block_size == 8);
  STAC_CHECK(wanted.region_size > 0 && wanted.region_size % 16 == 0);
  at::NoGradGuard no_gradient;
  const bool chroma = wanted.chroma_weight > 0;
  const FramePlanes planes = PlaneGradients(std::move(by_rgb), source, factor, chroma);
  auto total = PlaneSums(planes.luma[0][0], wanted.block_size, wanted.region_size);
  for (int64_t i = 0; chroma && i < 2; ++i) {
    total = total + PlaneSums(planes.chroma[0][i], wanted.block_size, wanted.region_size / 2) *
                        wanted.chroma_weight;
  }
  const auto host = OnHost(total.to(at::kFloat));
  const Grid<float> found(
      static_cast<int>(host.size(1)), static_cast<int>(host.size(0)),
      std::vector<float>(host.data_ptr<float>(), host.data_ptr<float>() + host.numel()));
  if (sums.empty()) sums = Grid<float>(found.width(), found.height());
  STAC_CHECK(sums.SameSize(found));
  for (size_t i = 0; i < sums.size(); ++i) sums[i] += found[i];
}

}  // namespace stac
