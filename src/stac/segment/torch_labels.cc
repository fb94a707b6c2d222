#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <span>
#include <utility>
#include <vector>

#include "stac/segment/torch_ops_internal.h"

namespace stac {
namespace {

// One pass over the class planes for each strip of rows; ATen's argmax strides over the planes
// for every pixel and is several times slower.
void ArgmaxRows(const float* logits, int64_t classes, int64_t pixels, int64_t begin, int64_t end,
                uint8_t* labels) {
  constexpr int64_t kStrip = 1024;
  float best[kStrip];
  for (int64_t start = begin; start < end; start += kStrip) {
    const int64_t count = std::min(kStrip, end - start);
    std::copy_n(logits + start, count, best);
    std::fill_n(labels + start, count, uint8_t{0});
    for (int64_t c = 1; c < classes; ++c) {
      const float* plane = logits + c * pixels + start;
      uint8_t* label = labels + start;
      for (int64_t i = 0; i < count; ++i) {
        const bool larger = plane[i] > best[i];
        label[i] = larger ? static_cast<uint8_t>(c) : label[i];
        best[i] = larger ? plane[i] : best[i];
      }
    }
  }
}

// Labels of rows of enlarged logits. An output pixel's weights depend on its phase, that is its
// place in the cell, alone, so pixels are gathered by phase, where neighbours are neighbouring
// cells.
class RowLabeller {
 public:
  // logits: [C,h,w] floats without gaps.
  RowLabeller(const float* logits, int64_t classes, int64_t rows, int64_t columns, int factor)
      : logits_(logits),
        classes_(classes),
        rows_(rows),
        columns_(columns),
        factor_(factor),
        blended_(classes * (columns + 2)),
        best_(columns),
        label_(columns * factor) {}

  // Row y of the output, which has columns * factor pixels: its first `labels.size()`.
  void Run(int64_t y, std::span<uint8_t> labels) {
    BlendRows(y);
    for (int phase = 0; phase < factor_; ++phase) LabelPhase(phase);
    size_t x = 0;
    for (int64_t cell = 0; x < labels.size(); ++cell)
      for (int phase = 0; phase < factor_ && x < labels.size(); ++phase)
        labels[x++] = static_cast<uint8_t>(label_[phase * columns_ + cell]);
  }

 private:
  // Where pixel `at` of the output lies between the centres of cells: behind how many, how far.
  std::pair<int64_t, float> Place(int64_t at) const {
    const int64_t twice = 2 * at + 1 - factor_;  // distance from the first centre, in half pixels
    const int64_t cell = (twice + 2 * factor_) / (2 * factor_) - 1;
    return {cell, static_cast<float>(twice - 2 * factor_ * cell) / static_cast<float>(2 * factor_)};
  }

  // The two rows of cells around the output's row, blended; the first and last are repeated.
  void BlendRows(int64_t y) {
    const auto [cell, share] = Place(y);
    const int64_t upper = std::max<int64_t>(cell, 0), lower = std::min(cell + 1, rows_ - 1);
    for (int64_t c = 0; c < classes_; ++c) {
      const float* a = logits_ + (c * rows_ + upper) * columns_;
      const float* b = logits_ + (c * rows_ + lower) * columns_;
      float* __restrict row = &blended_[c * (columns_ + 2)];
      for (int64_t x = 0; x < columns_; ++x) row[x + 1] = (1 - share) * a[x] + share * b[x];
      row[0] = row[1];
      row[columns_ + 1] = row[columns_];
    }
  }

  void LabelPhase(int phase) {
    const auto [cell, share] = Place(phase);
    float* __restrict best = best_.data();
    int32_t* __restrict label = &label_[phase * columns_];
    for (int64_t c = 0; c < classes_; ++c) {
      const float* left = &blended_[c * (columns_ + 2) + 1 + cell];
      for (int64_t x = 0; x < columns_; ++x) {
        const float value = (1 - share) * left[x] + share * left[x + 1];
        const bool larger = c == 0 || value > best[x];
        label[x] = larger ? static_cast<int32_t>(c) : label[x];
        best[x] = larger ? value : best[x];
      }
    }
  }

  const float* const logits_;
  const int64_t classes_, rows_, columns_;
  const int factor_;
  std::vector<float> blended_;  // [C][columns + 2]
  std::vector<float> best_;     // of one phase
  std::vector<int32_t> label_;  // [phase][columns]
};

}  // namespace

LabelMap LabelsFromLogits(const at::Tensor& logits) {
  at::NoGradGuard no_gradient;
  const int height = static_cast<int>(logits.size(2));
  const int width = static_cast<int>(logits.size(3));
  LabelMap labels(width, height);
  if (!logits.device().is_cpu()) {
    const auto bytes = OnHost(logits.argmax(1).to(at::kByte));
    std::copy_n(bytes.data_ptr<uint8_t>(), labels.size(), labels.data());
    return labels;
  }
  const auto floats = logits.detach().to(at::kFloat).contiguous();
  const float* data = floats.data_ptr<float>();
  const auto pixels = static_cast<int64_t>(labels.size());
  at::parallel_for(0, pixels, 1 << 16, [&](int64_t begin, int64_t end) {
    ArgmaxRows(data, floats.size(1), pixels, begin, end, labels.data());
  });
  return labels;
}

LabelMap LabelsOfEnlarged(const at::Tensor& logits, int factor, int width, int height) {
  at::NoGradGuard no_gradient;
  const auto floats = logits.detach().to(at::kFloat).contiguous();
  TORCH_CHECK(factor >= 1 && width <= floats.size(3) * factor && height <= floats.size(2) * factor,
              "the logits do not cover the frame");
  LabelMap labels(width, height);
  at::parallel_for(0, height, 16, [&](int64_t begin, int64_t end) {
    RowLabeller rows(floats.data_ptr<float>(), floats.size(1), floats.size(2), floats.size(3),
                     factor);
    for (int64_t y = begin; y < end; ++y) rows.Run(y, labels.Row(static_cast<int>(y)));
  });
  return labels;
}

}  // namespace stac
