#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cstring>

#include "stac/segment/frozen/map_layout_internal.h"

namespace stac {
namespace {

constexpr auto kSideBySide = at::MemoryFormat::ChannelsLast;

// So many places at a time: the cache lines of a place's channels are often as far apart as cannot
// be cached together, so each is used up soon.
constexpr int64_t kAtOnce = 64;

using Four = float __attribute__((vector_size(16)));

Four Load(const float* from) {
  Four four;
  std::memcpy(&four, from, sizeof(four));
  return four;
}

void Store(Four four, float* to) { std::memcpy(to, &four, sizeof(four)); }

// to[j * to_step + i] = from[i * from_step + j] for i, j < 4.
void TransposeFour(const float* from, int64_t from_step, float* to, int64_t to_step) {
  const Four a = Load(from), b = Load(from + from_step), c = Load(from + 2 * from_step),
             d = Load(from + 3 * from_step);
  const Four ab_01 = __builtin_shufflevector(a, b, 0, 4, 1, 5);
  const Four cd_01 = __builtin_shufflevector(c, d, 0, 4, 1, 5);
  const Four ab_23 = __builtin_shufflevector(a, b, 2, 6, 3, 7);
  const Four cd_23 = __builtin_shufflevector(c, d, 2, 6, 3, 7);
  Store(__builtin_shufflevector(ab_01, cd_01, 0, 1, 4, 5), to);
  Store(__builtin_shufflevector(ab_01, cd_01, 2, 3, 6, 7), to + to_step);
  Store(__builtin_shufflevector(ab_23, cd_23, 0, 1, 4, 5), to + 2 * to_step);
  Store(__builtin_shufflevector(ab_23, cd_23, 2, 3, 6, 7), to + 3 * to_step);
}

// Calls tile(channel, place) for squares of four and edge(channel, place) for what is left over.
template <typename Tile, typename Edge>
void ForEachTile(int64_t channels, int64_t count, Tile tile, Edge edge) {
  for (int64_t start = 0; start < count; start += kAtOnce) {
    const int64_t end = std::min(start + kAtOnce, count);
    int64_t c = 0;
    for (; c + 4 <= channels; c += 4) {
      int64_t p = start;
      for (; p + 4 <= end; p += 4) tile(c, p);
      for (; p < end; ++p)
        for (int64_t i = c; i < c + 4; ++i) edge(i, p);
    }
    for (; c < channels; ++c)
      for (int64_t p = start; p < end; ++p) edge(c, p);
  }
}

}  // namespace

void PlacesFromPlanes(const float* planes, int64_t step, int64_t channels, int64_t count,
                      float* places) {
  ForEachTile(
      channels, count,
      [&](int64_t c, int64_t p) {
        TransposeFour(planes + c * step + p, step, places + p * channels + c, channels);
      },
      [&](int64_t c, int64_t p) { places[p * channels + c] = planes[c * step + p]; });
}

void PlanesFromPlaces(const float* places, int64_t channels, int64_t count, float* planes,
                      int64_t step) {
  ForEachTile(
      channels, count,
      [&](int64_t c, int64_t p) {
        TransposeFour(places + p * channels + c, channels, planes + c * step + p, step);
      },
      [&](int64_t c, int64_t p) { planes[c * step + p] = places[p * channels + c]; });
}

bool ChannelsSideBySide(const at::Tensor& x) {
  return !x.is_contiguous() && x.is_contiguous(kSideBySide);
}

bool IsPlainMap(const at::Tensor& x) {
  return x.dim() == 4 && x.device().is_cpu() && x.scalar_type() == at::kFloat &&
         (x.is_contiguous() || ChannelsSideBySide(x));
}

at::MemoryFormat FormatOf(const at::Tensor& x) {
  if (x.dim() == 4 && ChannelsSideBySide(x)) return kSideBySide;
  return x.is_contiguous() ? at::MemoryFormat::Contiguous : x.suggest_memory_format();
}

at::Tensor LaidOut(const at::Tensor& x, at::MemoryFormat format) {
  if (x.is_contiguous(format)) return x;
  if (!IsPlainMap(x) || (at::GradMode::is_enabled() && x.requires_grad()))
    return x.contiguous(format);
  at::Tensor result = at::empty(x.sizes(), x.options().memory_format(format));
  const int64_t channels = x.size(1), places = x.size(2) * x.size(3);
  const int64_t parts = (places + kAtOnce - 1) / kAtOnce;
  const float* from = x.data_ptr<float>();
  float* to = result.data_ptr<float>();
  at::parallel_for(0, x.size(0) * parts, 16, [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) {
      const int64_t picture = i / parts * channels * places, begin = i % parts * kAtOnce;
      const int64_t count = std::min(kAtOnce, places - begin);
      const int64_t plane_start = picture + begin, place_start = picture + begin * channels;
      if (format == kSideBySide)
        PlacesFromPlanes(from + plane_start, places, channels, count, to + place_start);
      else
        PlanesFromPlaces(from + place_start, channels, count, to + plane_start, places);
    }
  });
  return result;
}

}  // namespace stac
