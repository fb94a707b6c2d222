#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include <array>
#include <vector>

#include "stac/base/wide_vectors.h"
#include "stac/segment/color_weights_internal.h"
#include "stac/segment/torch_ops_internal.h"

namespace stac {
namespace {

at::Tensor PlaneTensor(const PlaneView& plane) {
  return at::from_blob(const_cast<uint8_t*>(plane.data), {1, 1, plane.height, plane.width},
                       {0, 0, plane.stride, 1}, at::kByte);
}

at::Tensor PageLocked(const at::Tensor& values) {
  return at::empty(values.sizes(), at::TensorOptions(values.scalar_type()).pinned_memory(true))
      .copy_(values);
}

// What a row of chroma samples adds to one of R, G and B, for both pixels above a sample.
STAC_WIDE_VECTORS
void AddedByChroma(const uint8_t* cb, const uint8_t* cr, int64_t count, float by_cb, float by_cr,
                   float* __restrict added) {
  for (int64_t i = 0; i < count; ++i) {
    const float both =
        by_cb * static_cast<float>(cb[i] - 128) + by_cr * static_cast<float>(cr[i] - 128);
    added[2 * i] = both;
    added[2 * i + 1] = both;
  }
}

STAC_WIDE_VECTORS
void RowOfPlane(const uint8_t* luma, const float* added, int64_t count, int black, float by_luma,
                float* __restrict row) {
  for (int64_t i = 0; i < count; ++i) {
    const float value = added[i] + by_luma * static_cast<float>(luma[i] - black);
    const float positive = value < 0 ? 0 : value;
    row[i] = positive > 1 ? 1 : positive;
  }
}

// In one pass over the samples, which in steps of ATen's are nine.
at::Tensor RgbOnCpu(const Frame& frame) {
  const RgbWeights weights = WeightsOf(frame.color());
  const std::array<double, 3> by_cb = {0, weights.g_from_cb, weights.b_from_cb};
  const std::array<double, 3> by_cr = {weights.r_from_cr, weights.g_from_cr, 0};
  const int64_t width = frame.width(), height = frame.height();
  at::Tensor rgb = at::empty({1, 3, height, width}, at::kFloat);
  float* const values = rgb.data_ptr<float>();
  at::parallel_for(0, height / 2, 16, [&](int64_t begin, int64_t end) {
    std::vector<float> added(width);
    for (int64_t j = begin; j < end; ++j) {
      for (int64_t channel = 0; channel < 3; ++channel) {
        const auto row = static_cast<int>(j);
        AddedByChroma(frame.plane(1).Row(row), frame.plane(2).Row(row), width / 2,
                      static_cast<float>(by_cb[channel]), static_cast<float>(by_cr[channel]),
                      added.data());
        for (int64_t y = 2 * j; y < 2 * j + 2; ++y)
          RowOfPlane(frame.y().Row(static_cast<int>(y)), added.data(), width, weights.black,
                     static_cast<float>(weights.luma), values + (channel * height + y) * width);
      }
    }
  });
  return rgb;
}

}  // namespace

at::Tensor OnHost(const at::Tensor& values) {
  return values.device().is_cpu() ? values.contiguous() : PageLocked(values);
}

FramePlanes PlanesFromFrame(const Frame& frame, const at::TensorOptions& options) {
  const int64_t width = frame.width(), height = frame.height(), pixels = width * height;
  const bool on_cpu = options.device().is_cpu();
  // To a GPU, bytes travel instead of floats, and at once.
  const auto bytes =
      at::empty({pixels * 3 / 2}, at::TensorOptions(at::kByte).pinned_memory(!on_cpu));
  for (int64_t i = 0, at = 0; i < 3; ++i) {
    const auto plane = PlaneTensor(frame.plane(static_cast<int>(i)));
    bytes.narrow(0, at, plane.numel()).view_as(plane).copy_(plane);
    at += plane.numel();
  }
  const auto samples =
      bytes.to(options.device(), at::kByte, /*non_blocking=*/true).to(options.dtype());
  return {samples.narrow(0, 0, pixels).view({1, 1, height, width}),
          samples.narrow(0, pixels, pixels / 2).view({1, 2, height / 2, width / 2})};
}

at::Tensor RgbFromPlanes(const FramePlanes& planes, const ColorSpec& color) {
  const RgbWeights weights = WeightsOf(color);
  // What samples without colour and of black add is taken away again.
  const auto away = [&](double by_cb, double by_cr) {
    return -128 * (by_cb + by_cr) - weights.black * weights.luma;
  };
  const std::vector<double> values = {
      0,
      weights.r_from_cr,
      weights.g_from_cb,
      weights.g_from_cr,
      weights.b_from_cb,
      0,
      away(0, weights.r_from_cr),
      away(weights.g_from_cb, weights.g_from_cr),
      away(weights.b_from_cb, 0),
  };
  const auto of_chroma =
      at::tensor(values, at::kDouble).to(planes.chroma.options().requires_grad(false));
  // R, G, B = luma + what chroma adds; the latter is computed at chroma size, where it is cheap.
  const auto added = at::conv2d(planes.chroma, of_chroma.narrow(0, 0, 6).view({3, 2, 1, 1}),
                                of_chroma.narrow(0, 6, 3));
  const auto rgb =
      at::add(at::upsample_nearest2d(added, {planes.luma.size(2), planes.luma.size(3)}),
              planes.luma, weights.luma);
  if (!rgb.requires_grad()) return rgb.clamp(0, 1);
  at::Tensor excess;
  {
    at::NoGradGuard no_gradient;
    excess = rgb - rgb.clamp(0, 1);
  }
  return rgb - excess;
}

at::Tensor RgbTensor(const Frame& frame, const at::TensorOptions& options) {
  if (options.device().is_cpu() && options.dtype() == at::kFloat) return RgbOnCpu(frame);
  return RgbFromPlanes(PlanesFromFrame(frame, options), frame.color());
}

}  // namespace stac
