#include "stac/lab/upscale.h"

#include <algorithm>
#include <cmath>

#include "stac/base/check.h"

namespace stac {

std::vector<PlaneScaler::Taps> PlaneScaler::MakeTaps(int from, int to) {
  STAC_CHECK(from > 0 && to >= from);
  std::vector<Taps> taps(to);
  for (int i = 0; i < to; ++i) {
    const double at = (i + 0.5) * from / to - 0.5;
    const int base = static_cast<int>(std::floor(at));
    const double t = at - base;
    const double weights[4] = {((-0.5 * t + 1) * t - 0.5) * t, (1.5 * t - 2.5) * t * t + 1,
                               ((-1.5 * t + 2) * t + 0.5) * t, (0.5 * t - 0.5) * t * t};
    for (int k = 0; k < 4; ++k) {
      taps[i].index[k] = std::clamp(base - 1 + k, 0, from - 1);
      taps[i].weight[k] = static_cast<float>(weights[k]);
    }
  }
  return taps;
}

PlaneScaler::PlaneScaler(int from_width, int from_height, int to_width, int to_height)
    : from_width_(from_width),
      from_height_(from_height),
      columns_(MakeTaps(from_width, to_width)),
      rows_(MakeTaps(from_height, to_height)) {}

Grid<float> PlaneScaler::Enlarge(const PlaneView& plane) const {
  STAC_CHECK(plane.width == from_width_ && plane.height == from_height_);
  Grid<float> wide(static_cast<int>(columns_.size()), from_height_);
  for (int y = 0; y < from_height_; ++y) {
    const uint8_t* in = plane.Row(y);
    float* out = wide.Row(y).data();
    for (const Taps& t : columns_) {
      *out++ = t.weight[0] * in[t.index[0]] + t.weight[1] * in[t.index[1]] +
               t.weight[2] * in[t.index[2]] + t.weight[3] * in[t.index[3]];
    }
  }
  Grid<float> large(wide.width(), static_cast<int>(rows_.size()));
  for (int y = 0; y < large.height(); ++y) {
    const Taps& t = rows_[y];
    const float *a = wide.Row(t.index[0]).data(), *b = wide.Row(t.index[1]).data(),
                *c = wide.Row(t.index[2]).data(), *d = wide.Row(t.index[3]).data();
    float* out = large.Row(y).data();
    for (int x = 0; x < large.width(); ++x) {
      out[x] = t.weight[0] * a[x] + t.weight[1] * b[x] + t.weight[2] * c[x] + t.weight[3] * d[x];
    }
  }
  return large;
}

Grid<float> PlaneScaler::Adjoint(const Grid<float>& gradient) const {
  STAC_CHECK(gradient.SameSize(static_cast<int>(columns_.size()), static_cast<int>(rows_.size())));
  Grid<float> wide(gradient.width(), from_height_);
  for (int y = 0; y < gradient.height(); ++y) {
    const float* in = gradient.Row(y).data();
    for (int k = 0; k < 4; ++k) {
      float* out = wide.Row(rows_[y].index[k]).data();
      const float weight = rows_[y].weight[k];
      for (int x = 0; x < gradient.width(); ++x) out[x] += weight * in[x];
    }
  }
  Grid<float> small(from_width_, from_height_);
  for (int y = 0; y < from_height_; ++y) {
    const float* in = wide.Row(y).data();
    float* out = small.Row(y).data();
    for (const Taps& t : columns_) {
      const float value = *in++;
      for (int k = 0; k < 4; ++k) out[t.index[k]] += t.weight[k] * value;
    }
  }
  return small;
}

Frame EnlargeFrame(const Frame& frame, int width, int height) {
  Frame large(width, height, frame.color());
  large.id = frame.id;
  large.pts = frame.pts;
  for (int p = 0; p < 3; ++p) {
    const PlaneView& from = frame.plane(p);
    const PlaneView& to = large.plane(p);
    const Grid<float> samples =
        PlaneScaler(from.width, from.height, to.width, to.height).Enlarge(from);
    uint8_t* out = large.MutablePlane(p);
    for (int y = 0; y < to.height; ++y) {
      for (int x = 0; x < to.width; ++x) {
        out[static_cast<ptrdiff_t>(y) * to.stride + x] =
            static_cast<uint8_t>(std::clamp(std::lround(samples(x, y)), 0L, 255L));
      }
    }
  }
  return large;
}

}  // namespace stac
