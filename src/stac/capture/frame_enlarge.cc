#include <algorithm>
#include <cmath>
#include <vector>

#include "stac/base/check.h"
#include "stac/capture/frame_scale.h"

namespace stac {
namespace {

constexpr int kTaps = 4;

// The samples around a new one's place: `first` may lie outside by up to two, which repeats the
// border's.
struct Taps {
  int first;
  float weight[kTaps];
};

std::vector<Taps> MakeTaps(int from, int to) {
  STAC_CHECK(from > 0 && to >= from);
  std::vector<Taps> taps(static_cast<size_t>(to));
  for (int i = 0; i < to; ++i) {
    const double at = (i + 0.5) * from / to - 0.5;
    const int base = static_cast<int>(std::floor(at));
    const double t = at - base;
    const double weights[kTaps] = {((-0.5 * t + 1) * t - 0.5) * t, (1.5 * t - 2.5) * t * t + 1,
                                   ((-1.5 * t + 2) * t + 0.5) * t, (0.5 * t - 0.5) * t * t};
    taps[static_cast<size_t>(i)].first = base - 1;
    for (int k = 0; k < kTaps; ++k) {
      taps[static_cast<size_t>(i)].weight[k] = static_cast<float>(weights[k]);
    }
  }
  return taps;
}

// One row scaled up in width.
class RowScaler {
 public:
  RowScaler(int from, int to) : taps_(MakeTaps(from, to)), padded_(static_cast<size_t>(from) + 4) {}

  void Run(const uint8_t* in, float* out) {
    const size_t width = padded_.size() - 4;
    std::fill_n(padded_.begin(), 2, static_cast<float>(in[0]));
    std::copy_n(in, width, padded_.begin() + 2);
    std::fill_n(padded_.end() - 2, 2, static_cast<float>(in[width - 1]));
    for (const Taps& t : taps_) {
      const float* s = padded_.data() + t.first + 2;
      *out++ = t.weight[0] * s[0] + t.weight[1] * s[1] + t.weight[2] * s[2] + t.weight[3] * s[3];
    }
  }

 private:
  std::vector<Taps> taps_;
  std::vector<float> padded_;
};

void EnlargePlane(const PlaneView& in, const PlaneView& out, uint8_t* out_data) {
  RowScaler scale_row(in.width, out.width);
  const std::vector<Taps> rows = MakeTaps(in.height, out.height);
  // The last wide rows, each in the place of its number: an output row needs four in a row.
  std::vector<float> wide[kTaps];
  for (auto& row : wide) row.resize(static_cast<size_t>(out.width));
  int filled = 0;
  for (int y = 0; y < out.height; ++y) {
    const Taps& t = rows[static_cast<size_t>(y)];
    for (; filled <= std::min(t.first + kTaps - 1, in.height - 1); ++filled) {
      scale_row.Run(in.Row(filled), wide[filled % kTaps].data());
    }
    const auto row = [&](int k) {
      return wide[std::clamp(t.first + k, 0, in.height - 1) % kTaps].data();
    };
    // In variables of their own: a byte that is written could be a part of anything else.
    const float *a = row(0), *b = row(1), *c = row(2), *d = row(3);
    const float wa = t.weight[0], wb = t.weight[1], wc = t.weight[2], wd = t.weight[3];
    uint8_t* line = out_data + static_cast<ptrdiff_t>(y) * out.stride;
    for (int x = 0; x < out.width; ++x) {
      const float value = wa * a[x] + wb * b[x] + wc * c[x] + wd * d[x];
      line[x] = static_cast<uint8_t>(static_cast<int>(std::clamp(value, 0.0f, 255.0f) + 0.5f));
    }
  }
}

}  // namespace

Frame EnlargeFrame(const Frame& frame, Size size) {
  if (size == Size{frame.width(), frame.height()}) return frame;
  Frame large(size.width, size.height, frame.color());
  large.id = frame.id;
  large.pts = frame.pts;
  for (int i = 0; i < 3; ++i) EnlargePlane(frame.plane(i), large.plane(i), large.MutablePlane(i));
  return large;
}

}  // namespace stac
