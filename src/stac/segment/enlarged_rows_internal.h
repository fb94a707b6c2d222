#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

// For LibTorch code only.

namespace stac {

// How small logits become as large as a picture: bilinearly, `factor` pixels to a cell. As
// upsample_bilinear2d has it, pixel centres lie between those of the outer cells and beyond them
// (the result is cells * factor wide), or with align_corners the outer pixels' centres are those of
// the outer cells ((cells - 1) * factor + 1 wide).
struct WholeEnlargement {
  int factor = 1;
  bool align_corners = false;

  int64_t Pixels(int64_t cells) const {
    return align_corners ? (cells - 1) * factor + 1 : cells * factor;
  }
};

// The rows of enlarged logits, one at a time, without the others: enlarged, logits are the largest
// tensor of a pass. An output pixel's weights depend on its phase, that is its place in the cell,
// alone, so the pixels of a row are gathered by phase, where neighbours are neighbouring cells.
class EnlargedRows {
 public:
  // Behind how many cells, and how far, a pixel lies: (1 - share) * that cell + share * the next.
  struct Place {
    int64_t cell = 0;
    float share = 0;
  };

  // logits: floats [1,C,h,w] without gaps, which must outlive this. Of the result the left `width`
  // columns count.
  EnlargedRows(const at::Tensor& logits, WholeEnlargement enlargement, int64_t width);

  int64_t classes() const { return classes_; }
  int phases() const { return enlargement_.factor; }
  // How many pixels of a row have this phase.
  int64_t CountOf(int phase) const {
    return (width_ - phase + enlargement_.factor - 1) / enlargement_.factor;
  }
  // Of the pixel `at`, in a row or column. Of a phase it is the first pixel's; each next one lies a
  // cell further.
  Place PlaceOf(int64_t at) const;
  // The two rows of cells around row y of the result, the first and last repeated, and how far it
  // lies from the first.
  struct Around {
    int64_t upper = 0, lower = 0;
    float share = 0;
  };
  Around RowsAround(int64_t y) const;

  // Prepares row y.
  void Blend(int64_t y);
  // The prepared row's cells of class c, from cell -1 (a repetition of 0) on to one more than there
  // are.
  const float* Cells(int64_t c) const { return &blended_[c * (columns_ + 2) + 1]; }

 private:
  const float* const logits_;
  const int64_t classes_, rows_, columns_, width_;
  const WholeEnlargement enlargement_;
  std::vector<float> blended_;  // [C][columns + 2]
};

}  // namespace stac
