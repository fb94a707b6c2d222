#include <ATen/ATen.h>

#include <algorithm>

#include "stac/segment/enlarged_rows_internal.h"

namespace stac {

EnlargedRows::EnlargedRows(const at::Tensor& logits, WholeEnlargement enlargement, int64_t width)
    : logits_(logits.data_ptr<float>()),
      classes_(logits.size(1)),
      rows_(logits.size(2)),
      columns_(logits.size(3)),
      width_(width),
      enlargement_(enlargement),
      blended_(classes_ * (columns_ + 2)) {
  TORCH_CHECK(enlargement.factor >= 1 && width <= enlargement.Pixels(columns_),
              "the logits do not cover the frame");
}

EnlargedRows::Place EnlargedRows::PlaceOf(int64_t at) const {
  const int64_t factor = enlargement_.factor;
  if (enlargement_.align_corners)
    return {at / factor, static_cast<float>(at % factor) / static_cast<float>(factor)};
  const int64_t twice = 2 * at + 1 - factor;  // distance from the first centre, in half pixels
  const int64_t cell = (twice + 2 * factor) / (2 * factor) - 1;
  return {cell, static_cast<float>(twice - 2 * factor * cell) / static_cast<float>(2 * factor)};
}

EnlargedRows::Around EnlargedRows::RowsAround(int64_t y) const {
  const Place place = PlaceOf(y);
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
