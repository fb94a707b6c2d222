#include "stac/capture/frame_scale.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "stac/base/check.h"

namespace stac {
namespace {

constexpr int kSmallest = 16;
constexpr int kOne = 256;  // weight of a sample that is covered entirely

// The samples that one new sample covers: `count` from `first`, with weights that sum to `total`.
struct Cover {
  int first;
  int count;
  uint32_t first_weight;  // the others, but the last, weigh kOne
  uint32_t last_weight;
  uint32_t total;

  uint32_t Weight(int k) const {
    return k == 0 ? first_weight : k == count - 1 ? last_weight : kOne;
  }
};

std::vector<Cover> Covers(int from, int to) {
  std::vector<Cover> covers(static_cast<size_t>(to));
  for (int i = 0; i < to; ++i) {
    const int64_t begin = static_cast<int64_t>(i) * from * kOne / to;
    const int64_t end = static_cast<int64_t>(i + 1) * from * kOne / to;
    const int first = static_cast<int>(begin / kOne);
    const int last = static_cast<int>((end - 1) / kOne);
    Cover& cover = covers[static_cast<size_t>(i)];
    cover = {
        .first = first, .count = last - first + 1, .total = static_cast<uint32_t>(end - begin)};
    cover.last_weight = static_cast<uint32_t>(end - static_cast<int64_t>(last) * kOne);
    cover.first_weight =
        first == last ? cover.total : static_cast<uint32_t>(kOne - (begin - first * kOne));
  }
  return covers;
}

void ShrinkPlane(const PlaneView& in, const PlaneView& out, uint8_t* out_data) {
  const std::vector<Cover> columns = Covers(in.width, out.width);
  const std::vector<Cover> rows = Covers(in.height, out.height);
  std::vector<uint32_t> sums(static_cast<size_t>(in.width));
  for (int y = 0; y < out.height; ++y) {
    const Cover& row = rows[static_cast<size_t>(y)];
    std::fill(sums.begin(), sums.end(), 0u);
    for (int k = 0; k < row.count; ++k) {
      const uint8_t* samples = in.Row(row.first + k);
      const uint32_t weight = row.Weight(k);
      for (int x = 0; x < in.width; ++x) sums[static_cast<size_t>(x)] += weight * samples[x];
    }
    uint8_t* line = out_data + static_cast<ptrdiff_t>(y) * out.stride;
    for (int x = 0; x < out.width; ++x) {
      const Cover& column = columns[static_cast<size_t>(x)];
      uint64_t sum = 0;
      for (int k = 0; k < column.count; ++k) {
        sum +=
            static_cast<uint64_t>(column.Weight(k)) * sums[static_cast<size_t>(column.first + k)];
      }
      const uint64_t total = static_cast<uint64_t>(column.total) * row.total;
      line[x] = static_cast<uint8_t>((sum + total / 2) / total);
    }
  }
}

}  // namespace

Size FitInto(Size size, int max_width, int max_height) {
  double scale = 1;
  if (max_width > 0) scale = std::min(scale, static_cast<double>(max_width) / size.width);
  if (max_height > 0) scale = std::min(scale, static_cast<double>(max_height) / size.height);
  if (scale >= 1) return {EvenFloor(size.width), EvenFloor(size.height)};
  // To the nearest even number, but not over the limit.
  const auto even = [scale](int full, int limit) {
    int fitted = 2 * static_cast<int>(std::lround(full * scale / 2));
    if (limit > 0) fitted = std::min(fitted, EvenFloor(limit));
    return std::clamp(fitted, std::min(kSmallest, EvenFloor(full)), EvenFloor(full));
  };
  return {even(size.width, max_width), even(size.height, max_height)};
}

Frame ShrinkFrame(const Frame& frame, Size size) {
  if (size == Size{frame.width(), frame.height()}) return frame;
  STAC_CHECK(size.width <= frame.width() && size.height <= frame.height());
  Frame out(size.width, size.height, frame.color());
  out.id = frame.id;
  out.pts = frame.pts;
  for (int i = 0; i < 3; ++i) ShrinkPlane(frame.plane(i), out.plane(i), out.MutablePlane(i));
  return out;
}

Size CodedSize(Size full, double scale) {
  const auto even = [scale](int size) {
    return std::clamp(2 * static_cast<int>(std::lround(size * scale / 2)), kSmallest, size);
  };
  return {even(full.width), even(full.height)};
}

bool IsCodedSize(Size full, Size coded) {
  // The scales that lead to each of the two must have one in common. Rounding to even numbers takes
  // a sample; another is left to senders that round in another way.
  constexpr double kOff = 2;
  double low = kMinScale, high = 1;
  for (const auto& [whole, part] :
       {std::pair(full.width, coded.width), std::pair(full.height, coded.height)}) {
    if (part % 2 != 0 || part < kSmallest || part > whole) return false;
    if (part > kSmallest) low = std::max(low, (part - kOff) / whole);
    if (part < whole) high = std::min(high, (part + kOff) / whole);
  }
  return low <= high;
}

LabelMap ShrinkLabels(const LabelMap& labels, Size size) {
  if (labels.SameSize(size.width, size.height)) return labels;
  LabelMap out(size.width, size.height);
  for (int y = 0; y < size.height; ++y) {
    const int source_y = static_cast<int>((2LL * y + 1) * labels.height() / (2 * size.height));
    for (int x = 0; x < size.width; ++x) {
      out(x, y) =
          labels(static_cast<int>((2LL * x + 1) * labels.width() / (2 * size.width)), source_y);
    }
  }
  return out;
}

LabelMap CropLabels(const LabelMap& labels, Size size) {
  if (labels.SameSize(size.width, size.height)) return labels;
  STAC_CHECK(size.width <= labels.width() && size.height <= labels.height());
  LabelMap out(size.width, size.height);
  for (int y = 0; y < size.height; ++y) {
    std::copy_n(labels.Row(y).begin(), size.width, out.Row(y).begin());
  }
  return out;
}

}  // namespace stac
