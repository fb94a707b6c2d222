#include <ATen/ATen.h>

#include <algorithm>

#include "stac/segment/frozen/enlarged_rows_internal.h"

namespace stac {
namespace {

// Pixels from cell to cell, rounded.
int64_t Distance(int64_t cells, int64_t pixels, bool align_corners) {
  const int64_t gaps = align_corners ? std::max<int64_t>(1, cells - 1) : cells;
  return std::max<int64_t>(1, (pixels - (align_corners ? 1 : 0) + gaps / 2) / gaps);
}

}  // namespace

Place PlaceOf(int64_t at, int64_t cells, int64_t pixels, bool align_corners) {
  if (align_corners && pixels == 1) return {};
  // The distance from the first cell's centre in cells is numerator / denominator.
  const int64_t numerator = align_corners ? at * (cells - 1) : (2 * at + 1) * cells - pixels;
  const int64_t denominator = align_corners ? pixels - 1 : 2 * pixels;
  const int64_t cell = (numerator + denominator) / denominator - 1;  // down, also below 0
  return {cell,
          static_cast<float>(numerator - cell * denominator) / static_cast<float>(denominator)};
}

EnlargedRows::EnlargedRows(const at::Tensor& logits, const Enlargement& enlargement, int64_t width)
    : logits_(logits.data_ptr<float>()),
      classes_(logits.size(1)),
      rows_(logits.size(2)),
      columns_(logits.size(3)),
      enlargement_(enlargement),
      distance_(Distance(columns_, enlargement.to.width, enlargement.align_corners)),
      blended_(classes_ * (columns_ + 2)) {
  TORCH_CHECK(enlargement.to.width >= columns_ && enlargement.to.height >= rows_ &&
                  width <= enlargement.to.width,
              "the logits do not cover the frame");
  for (int64_t phase = 0; phase < distance_; ++phase) {
    for (int64_t x = phase; x < width; x += distance_) {
      const Place place = PlaceOf(x, columns_, enlargement.to.width, enlargement.align_corners);
      if (x == phase || place.cell != runs_.back().cell + runs_.back().count)
        runs_.push_back({.first = static_cast<int64_t>(shares_.size()), .cell = place.cell});
      ++runs_.back().count;
      shares_.push_back(place.share);
    }
  }
}

EnlargedRows::Around EnlargedRows::RowsAround(int64_t y) const {
  const Place place = PlaceOf(y, rows_, enlargement_.to.height, enlargement_.align_corners);
  return {std::max<int64_t>(place.cell, 0), std::min(place.cell + 1, rows_ - 1), place.share};
}

void EnlargedRows::Blend(int64_t y) {
  const Around around = RowsAround(y);
  for (int64_t c = 0; c < classes_; ++c) {
    const float* a = logits_ + (c * rows_ + around.upper) * columns_;
    const float* b = logits_ + (c * rows_ + around.lower) * columns_;
    float* __restrict row = &blended_[c * (columns_ + 2)];
    for (int64_t x = 0; x < columns_; ++x)
      row[x + 1] = (1 - around.share) * a[x] + around.share * b[x];
    row[0] = row[1];
    row[columns_ + 1] = row[columns_];
  }
}

}  // namespace stac
