#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <array>
#include <functional>

#include "stac/base/wide_vectors.h"
#include "stac/segment/frozen/layers_internal.h"

namespace stac {
namespace {

constexpr int64_t kChannels = 3;
constexpr int64_t kAtOnce = 4096;  // places

// Of one picture's channels.
using Numbers = std::array<float, kChannels>;

STAC_WIDE_VECTORS
void PlacesFromPlanes(const float* planes, int64_t step, int64_t count, const Numbers& zero,
                      const Numbers& factor, float* __restrict places) {
  for (int64_t i = 0; i < count; ++i)
    for (int64_t c = 0; c < kChannels; ++c)
      places[kChannels * i + c] = (planes[c * step + i] - zero[c]) * factor[c];
}

STAC_WIDE_VECTORS
void PlanesFromPlaces(const float* places, int64_t step, int64_t count, const Numbers& factor,
                      float* __restrict planes) {
  for (int64_t c = 0; c < kChannels; ++c)
    for (int64_t i = 0; i < count; ++i)
      planes[c * step + i] = places[kChannels * i + c] * factor[c];
}

// values: [N,3,1,1], or [1,3,1,1] for all pictures.
Numbers OfPicture(const at::Tensor& values, int64_t picture) {
  const auto floats = values.contiguous();
  const float* data = floats.data_ptr<float>() + (floats.size(0) > 1 ? picture * kChannels : 0);
  return {data[0], data[1], data[2]};
}

// Calls part(first, count) for the places of a picture, on all cores.
void ForEachPart(int64_t places, const std::function<void(int64_t, int64_t)>& part) {
  const int64_t parts = (places + kAtOnce - 1) / kAtOnce;
  at::parallel_for(0, parts, 4, [&](int64_t begin, int64_t end) {
    part(begin * kAtOnce, std::min(end * kAtOnce, places) - begin * kAtOnce);
  });
}

}  // namespace

at::Tensor Standardized(const at::Tensor& rgb, const at::Tensor& zero, const at::Tensor& factor) {
  TORCH_CHECK(rgb.is_contiguous() && rgb.size(1) == kChannels, "not planes of pictures");
  const auto result =
      at::empty(rgb.sizes(), rgb.options().memory_format(at::MemoryFormat::ChannelsLast));
  const int64_t places = rgb.size(2) * rgb.size(3);
  for (int64_t n = 0; n < rgb.size(0); ++n) {
    const Numbers zeros = OfPicture(zero, n), factors = OfPicture(factor, n);
    const float* from = rgb.data_ptr<float>() + n * kChannels * places;
    float* to = result.data_ptr<float>() + n * kChannels * places;
    ForEachPart(places, [&](int64_t first, int64_t count) {
      PlacesFromPlanes(from + first, places, count, zeros, factors, to + kChannels * first);
    });
  }
  return result;
}

at::Tensor StandardizedGradient(const at::Tensor& by_output, const at::Tensor& factor) {
  const auto by_places = by_output.contiguous(at::MemoryFormat::ChannelsLast);
  const auto result = at::empty(by_output.sizes(), by_output.options());
  const int64_t places = by_output.size(2) * by_output.size(3);
  for (int64_t n = 0; n < by_output.size(0); ++n) {
    const Numbers factors = OfPicture(factor, n);
    const float* from = by_places.data_ptr<float>() + n * kChannels * places;
    float* to = result.data_ptr<float>() + n * kChannels * places;
    ForEachPart(places, [&](int64_t first, int64_t count) {
      PlanesFromPlaces(from + kChannels * first, places, count, factors, to + first);
    });
  }
  return result;
}

}  // namespace stac
