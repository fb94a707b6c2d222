#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <vector>

#include "stac/segment/color_weights_internal.h"
#include "stac/segment/torch_ops_internal.h"

namespace stac {
namespace {

// plane: [H,W], floats.
Grid<float> GridFromPlane(const at::Tensor& plane) {
  const auto host = OnHost(plane);
  const float* values = host.data_ptr<float>();
  return {static_cast<int>(plane.size(1)), static_cast<int>(plane.size(0)),
          std::vector<float>(values, values + host.numel())};
}

// What repeating the last column and row needs on the way back: their sums, [3,height,width].
at::Tensor FoldPadding(at::Tensor by_rgb, int64_t height, int64_t width) {
  const int64_t right = by_rgb.size(2), bottom = by_rgb.size(1);
  if (right > width) by_rgb.select(2, width - 1).add_(by_rgb.slice(2, width, right).sum(2));
  if (bottom > height) by_rgb.select(1, height - 1).add_(by_rgb.slice(1, height, bottom).sum(1));
  return by_rgb.slice(1, 0, height).slice(2, 0, width);
}

// Averaging spreads a gradient evenly.
RgbWeights BackwardWeights(const InputSource& source, double factor) {
  return WeightsOf(source.color, factor / (source.downscale * source.downscale));
}

// Fills the gradient from rows [begin, end) of chroma samples. folded: [3,h,w] floats. A frame's
// pixels beyond the last whole square were not looked at.
template <int kDownscale, bool kChroma>
void SamplesFromRgb(const at::Tensor& folded, const RgbWeights& weights, int64_t begin, int64_t end,
                    InputGradient& gradient) {
  const auto by_luma = static_cast<float>(weights.luma);
  const auto cr_of_r = static_cast<float>(weights.r_from_cr);
  const auto cb_of_g = static_cast<float>(weights.g_from_cb);
  const auto cr_of_g = static_cast<float>(weights.g_from_cr);
  const auto cb_of_b = static_cast<float>(weights.b_from_cb);
  const float* data = folded.data_ptr<float>();
  const int64_t plane = folded.stride(0), stride = folded.stride(1);
  const auto columns = static_cast<int>(folded.size(2)) * kDownscale / 2;
  for (int64_t j = begin; j < end; ++j) {
    float* __restrict cb = kChroma ? gradient.cb.Row(static_cast<int>(j)).data() : nullptr;
    float* __restrict cr = kChroma ? gradient.cr.Row(static_cast<int>(j)).data() : nullptr;
    for (int64_t y = 2 * j; y < 2 * j + 2; ++y) {
      const float* __restrict r = data + y / kDownscale * stride;
      const float* __restrict g = r + plane;
      const float* __restrict b = g + plane;
      float* __restrict luma = gradient.y.Row(static_cast<int>(y)).data();
      for (int i = 0; i < columns; ++i) {
        const int left = 2 * i / kDownscale, right = (2 * i + 1) / kDownscale;
        luma[2 * i] = by_luma * (r[left] + g[left] + b[left]);
        luma[2 * i + 1] = by_luma * (r[right] + g[right] + b[right]);
        if constexpr (!kChroma) continue;
        const float green = g[left] + g[right];
        cb[i] += cb_of_g * green + cb_of_b * (b[left] + b[right]);
        cr[i] += cr_of_g * green + cr_of_r * (r[left] + r[right]);
      }
    }
  }
}

}  // namespace

FramePlanes PlaneGradients(at::Tensor by_rgb, const InputSource& source, double factor,
                           bool chroma) {
  at::NoGradGuard no_gradient;
  const int downscale = source.downscale, width = source.width, height = source.height;
  const RgbWeights weights = BackwardWeights(source, factor);
  at::Tensor full = FoldPadding(by_rgb[0], height / downscale, width / downscale).unsqueeze(0);
  if (downscale > 1) {
    const int64_t right = full.size(3) * downscale, bottom = full.size(2) * downscale;
    full = at::constant_pad_nd(at::upsample_nearest2d(full, {bottom, right}),
                               {0, width - right, 0, height - bottom});
  }
  FramePlanes gradients{.luma = full.sum(1, /*keepdim=*/true) * weights.luma};
  if (chroma) {
    const auto sums = at::avg_pool2d(full, {2, 2}) * 4;
    const auto r = sums.select(1, 0), g = sums.select(1, 1), b = sums.select(1, 2);
    gradients.chroma = at::stack({weights.g_from_cb * g + weights.b_from_cb * b,
                                  weights.r_from_cr * r + weights.g_from_cr * g},
                                 1);
  }
  return gradients;
}

InputGradient GradientFromRgb(at::Tensor by_rgb, const InputSource& source, double factor,
                              bool chroma) {
  at::NoGradGuard no_gradient;
  InputGradient gradient;
  if (!by_rgb.device().is_cpu()) {
    const FramePlanes planes = PlaneGradients(std::move(by_rgb), source, factor, chroma);
    gradient.y = GridFromPlane(planes.luma[0][0]);
    if (chroma) gradient.cb = GridFromPlane(planes.chroma[0][0]);
    if (chroma) gradient.cr = GridFromPlane(planes.chroma[0][1]);
    return gradient;
  }
  const int downscale = source.downscale, width = source.width, height = source.height;
  const int small_width = width / downscale, small_height = height / downscale;
  const auto folded = FoldPadding(by_rgb.to(at::kFloat).contiguous()[0], small_height, small_width);
  TORCH_CHECK(folded.size(1) == small_height && folded.size(2) == small_width &&
                  folded.stride(2) == 1 && width % 2 == 0 && height % 2 == 0,
              "the gradient does not belong to the frame");
  gradient.y = Grid<float>(width, height);
  if (chroma) gradient.cb = gradient.cr = Grid<float>(width / 2, height / 2);
  const auto run = [&](auto rows) {
    at::parallel_for(0, small_height * downscale / 2, 16, [&](int64_t begin, int64_t end) {
      rows(folded, BackwardWeights(source, factor), begin, end, gradient);
    });
  };
  if (downscale == 1) run(chroma ? SamplesFromRgb<1, true> : SamplesFromRgb<1, false>);
  if (downscale == 2) run(chroma ? SamplesFromRgb<2, true> : SamplesFromRgb<2, false>);
  if (downscale == 4) run(chroma ? SamplesFromRgb<4, true> : SamplesFromRgb<4, false>);
  return gradient;
}

}  // namespace stac
