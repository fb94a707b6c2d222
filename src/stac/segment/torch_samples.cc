#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <vector>

#include "stac/segment/torch_ops_internal.h"

namespace stac {
namespace {

at::Tensor PlaneTensor(const PlaneView& plane) {
  return at::from_blob(const_cast<uint8_t*>(plane.data), {1, 1, plane.height, plane.width},
                       {0, 0, plane.stride, 1}, at::kByte);
}

// How luma, Cb and Cr, in steps of 8-bit samples, add to R, G and B in 0..1.
struct RgbWeights {
  double luma;
  double r_from_cr, g_from_cb, g_from_cr, b_from_cb;
};
RgbWeights WeightsOf(const ColorSpec& color) {
  const bool bt601 = color.matrix == ColorMatrix::kBt601;
  const double kr = bt601 ? 0.299 : 0.2126;
  const double kb = bt601 ? 0.114 : 0.0722;
  const double kg = 1 - kr - kb;
  const bool limited = color.range == ColorRange::kLimited;
  const double chroma = 1.0 / (limited ? 224 : 255);
  return {.luma = 1.0 / (limited ? 219 : 255),
          .r_from_cr = 2 * (1 - kr) * chroma,
          .g_from_cb = -2 * kb * (1 - kb) / kg * chroma,
          .g_from_cr = -2 * kr * (1 - kr) / kg * chroma,
          .b_from_cb = 2 * (1 - kb) * chroma};
}

at::Tensor PageLocked(const at::Tensor& values) {
  return at::empty(values.sizes(), at::TensorOptions(values.scalar_type()).pinned_memory(true))
      .copy_(values);
}

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

// Fills the gradient from rows [begin, end) of chroma samples. folded: [3,h,w] floats. A frame's
// pixels beyond the last whole square were not looked at.
template <int kDownscale, bool kChroma>
void SamplesFromRgb(const at::Tensor& folded, const RgbWeights& weights, int64_t begin, int64_t end,
                    InputGradient& gradient) {
  // Averaging spreads a gradient evenly.
  constexpr double kShare = 1.0 / (kDownscale * kDownscale);
  const auto by_luma = static_cast<float>(weights.luma * kShare);
  const auto cr_of_r = static_cast<float>(weights.r_from_cr * kShare);
  const auto cb_of_g = static_cast<float>(weights.g_from_cb * kShare);
  const auto cr_of_g = static_cast<float>(weights.g_from_cr * kShare);
  const auto cb_of_b = static_cast<float>(weights.b_from_cb * kShare);
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

at::Tensor OnHost(const at::Tensor& values) {
  return values.device().is_cpu() ? values.contiguous() : PageLocked(values);
}

at::Tensor OnDevice(const at::Tensor& values, const at::Device& device) {
  if (device.is_cpu()) return values;
  return PageLocked(values).to(device, values.scalar_type(), /*non_blocking=*/true);
}

FramePlanes PlanesFromFrame(const Frame& frame, const at::TensorOptions& options) {
  const auto chroma = at::cat({PlaneTensor(frame.plane(1)), PlaneTensor(frame.plane(2))}, 1);
  // Bytes travel to the GPU, not floats.
  const auto moved = [&options](const at::Tensor& bytes) {
    return OnDevice(bytes, options.device()).to(options);
  };
  return {moved(PlaneTensor(frame.y())), moved(chroma)};
}

at::Tensor RgbFromPlanes(const FramePlanes& planes, const ColorSpec& color) {
  const RgbWeights weights = WeightsOf(color);
  const bool limited = color.range == ColorRange::kLimited;

  // R, G, B = luma + what chroma adds; the latter is computed at chroma size, where it is cheap.
  const std::vector<double> rows = {0,
                                    weights.r_from_cr,  // R
                                    weights.g_from_cb,
                                    weights.g_from_cr,  // G
                                    weights.b_from_cb,
                                    0};  // B
  const auto weight = at::tensor(rows, at::kDouble)
                          .view({3, 2, 1, 1})
                          .to(planes.chroma.options().requires_grad(false));
  const auto added = at::conv2d(planes.chroma - 128, weight);
  const auto full_size = at::upsample_nearest2d(added, {planes.luma.size(2), planes.luma.size(3)});
  const auto rgb = full_size + (planes.luma - (limited ? 16 : 0)) * weights.luma;

  at::Tensor excess;
  {
    at::NoGradGuard no_gradient;
    excess = rgb - rgb.clamp(0, 1);
  }
  return rgb - excess;
}

FramePlanes PlaneGradients(at::Tensor by_rgb, const ColorSpec& color, int width, int height,
                           int downscale, bool chroma) {
  at::NoGradGuard no_gradient;
  const RgbWeights weights = WeightsOf(color);
  at::Tensor full = FoldPadding(by_rgb[0], height / downscale, width / downscale).unsqueeze(0);
  if (downscale > 1) {
    // Averaging spreads a gradient evenly; pixels beyond the last whole square were not looked at.
    const int64_t right = full.size(3) * downscale, bottom = full.size(2) * downscale;
    full = at::constant_pad_nd(at::upsample_nearest2d(full, {bottom, right}),
                               {0, width - right, 0, height - bottom})
               .div_(downscale * downscale);
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

InputGradient GradientFromRgb(at::Tensor by_rgb, const ColorSpec& color, int width, int height,
                              int downscale, bool chroma) {
  at::NoGradGuard no_gradient;
  InputGradient gradient;
  if (!by_rgb.device().is_cpu()) {
    const FramePlanes planes =
        PlaneGradients(std::move(by_rgb), color, width, height, downscale, chroma);
    gradient.y = GridFromPlane(planes.luma[0][0]);
    if (chroma) gradient.cb = GridFromPlane(planes.chroma[0][0]);
    if (chroma) gradient.cr = GridFromPlane(planes.chroma[0][1]);
    return gradient;
  }
  const int small_width = width / downscale, small_height = height / downscale;
  const auto folded = FoldPadding(by_rgb.to(at::kFloat).contiguous()[0], small_height, small_width);
  TORCH_CHECK(folded.size(1) == small_height && folded.size(2) == small_width &&
                  folded.stride(2) == 1 && width % 2 == 0 && height % 2 == 0,
              "the gradient does not belong to the frame");
  gradient.y = Grid<float>(width, height);
  if (chroma) gradient.cb = gradient.cr = Grid<float>(width / 2, height / 2);
  const auto run = [&](auto rows) {
    at::parallel_for(0, small_height * downscale / 2, 16, [&](int64_t begin, int64_t end) {
      rows(folded, WeightsOf(color), begin, end, gradient);
    });
  };
  if (downscale == 1) run(chroma ? SamplesFromRgb<1, true> : SamplesFromRgb<1, false>);
  if (downscale == 2) run(chroma ? SamplesFromRgb<2, true> : SamplesFromRgb<2, false>);
  if (downscale == 4) run(chroma ? SamplesFromRgb<4, true> : SamplesFromRgb<4, false>);
  return gradient;
}

}  // namespace stac
