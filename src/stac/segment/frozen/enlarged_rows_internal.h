#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

// For LibTorch code only.

namespace stac {

// Height and width.
struct TensorSize {
  int64_t height = 0, width = 0;
  bool operator==(const TensorSize&) const = default;
};
inline TensorSize SizeOf(const at::Tensor& x) { return {x.size(2), x.size(3)}; }

// How small logits become as large as a picture, as upsample_bilinear2d has it: the outer edges of
// cells and pixels lie on each other, or, with align_corners, the centres of the outer ones.
struct Enlargement {
  TensorSize to;
  bool align_corners = false;
};

// Behind which cell, and how far, something lies: (1 - share) * that cell + share * the next.
// Beyond the outer ones, which are repeated, -1 and the last.
struct Place {
  int64_t cell = 0;
  float share = 0;
};

// Of pixel `at` of so many, on so many cells. In whole numbers, so that the share is the nearest
// float to the true one.
Place PlaceOf(int64_t at, int64_t cells, int64_t pixels, bool align_corners);

// The rows of enlarged logits, one at a time, without the others: enlarged, logits are the largest
// tensor of a pass. Where cells are a whole number of pixels apart, or nearly, every so manieth
// pixel has neighbouring cells on its left; such pixels are gathered, to be computed several at a
// time.
class EnlargedRows {
 public:
  // Pixels, one after the other in the gathered order, whose left cells follow each other.
  struct Run {
    int64_t first = 0, count = 0;
    int64_t cell = 0;  // of the first one; -1 is a repetition of 0
  };
  // The two rows of cells around a row of the result, the first and last repeated, and how far it
  // lies from the first: (1 - share) * upper + share * lower.
  struct Around {
    int64_t upper = 0, lower = 0;
    float share = 0;
  };

  // logits: floats [1,C,h,w] without gaps, which must outlive this. Of the result the left `width`
  // columns count.
  EnlargedRows(const at::Tensor& logits, const Enlargement& enlargement, int64_t width);

  int64_t classes() const { return classes_; }
  const std::vector<Run>& runs() const { return runs_; }
  // Of the gathered pixels: how far they lie behind their left cells.
  const float* shares() const { return shares_.data(); }
  // Puts what is gathered back into the order of pixels.
  template <typename From, typename To>
  void Scatter(const From* gathered, To* pixels) const {
    const auto width = static_cast<int64_t>(shares_.size());
    for (int64_t phase = 0; phase < distance_; ++phase)
      for (int64_t x = phase; x < width; x += distance_) pixels[x] = static_cast<To>(*gathered++);
  }
  Around RowsAround(int64_t y) const;

  // Prepares row y.
  void Blend(int64_t y);
  // The prepared row's cells of class c, from cell -1 (a repetition of 0) on to one more than there
  // are.
  const float* Cells(int64_t c) const { return &blended_[c * (columns_ + 2) + 1]; }

 private:
  const float* const logits_;
  const int64_t classes_, rows_, columns_;
  const Enlargement enlargement_;
  const int64_t distance_;  // pixels from cell to cell, about
  std::vector<Run> runs_;
  std::vector<float> shares_;   // [width]
  std::vector<float> blended_;  // [C][columns + 2]
};

}  // namespace stac
