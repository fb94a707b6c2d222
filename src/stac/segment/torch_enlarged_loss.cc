#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <vector>

#include "stac/segment/torch_ops_internal.h"

namespace stac {
namespace {

constexpr int64_t kRowsAtATime = 32;

// Of some rows of the picture. They are summed up apart: the order of summation, and with it every
// bit of the result, does not depend on the number of threads.
struct Part {
  double loss = 0;
  int64_t first_row = 0;  // of cells
  at::Tensor by_cells;    // [1,C,rows of cells that they touch,w]
};

// Row by row: enlarge, find labels and loss, and take the gradient back to the cells.
class LossOfRows {
 public:
  LossOfRows(const at::Tensor& logits, const Enlargement& enlargement, int64_t width,
             const std::vector<float>& class_weights, double pixels)
      : rows_(logits, enlargement, width),
        columns_(logits.size(3)),
        width_(width),
        class_weights_(class_weights),
        pixels_(pixels),
        values_(at::empty({rows_.classes(), width}, at::kFloat)),
        sums_(at::empty({width}, at::kFloat)),
        best_(width),
        scale_(width),
        label_(width),
        by_row_(rows_.classes() * (columns_ + 2)) {}

  Part Run(int64_t begin, int64_t end) {
    Part part{.first_row = rows_.RowsAround(begin).upper};
    const int64_t touched = rows_.RowsAround(end - 1).lower - part.first_row + 1;
    part.by_cells = at::zeros({1, rows_.classes(), touched, columns_}, at::kFloat);
    for (int64_t y = begin; y < end; ++y) {
      rows_.Blend(y);
      EnlargeRow();
      FindLargest();
      part.loss += TakeLoss();
      ShrinkRow();
      AddToCells(rows_.RowsAround(y), part);
    }
    return part;
  }

 private:
  float* Values(int64_t c) { return values_.data_ptr<float>() + c * width_; }
  float Weight(int32_t label) const { return class_weights_.empty() ? 1 : class_weights_[label]; }

  void EnlargeRow() {
    for (const EnlargedRows::Run& run : rows_.runs()) {
      const float* share = rows_.shares() + run.first;
      for (int64_t c = 0; c < rows_.classes(); ++c) {
        const float* left = rows_.Cells(c) + run.cell;
        float* __restrict value = Values(c) + run.first;
        for (int64_t x = 0; x < run.count; ++x)
          value[x] = (1 - share[x]) * left[x] + share[x] * left[x + 1];
      }
    }
  }

  void FindLargest() {
    float* __restrict best = best_.data();
    int32_t* __restrict label = label_.data();
    std::copy_n(Values(0), width_, best);
    std::fill(label_.begin(), label_.end(), 0);
    for (int64_t c = 1; c < rows_.classes(); ++c) {
      const float* value = Values(c);
      for (int64_t x = 0; x < width_; ++x) {
        const bool larger = value[x] > best[x];
        label[x] = larger ? static_cast<int32_t>(c) : label[x];
        best[x] = larger ? value[x] : best[x];
      }
    }
  }

  // Values become their softmax's numerators.
  void TakeExponentials() {
    const float* best = best_.data();
    for (int64_t c = 0; c < rows_.classes(); ++c) {
      float* __restrict value = Values(c);
      for (int64_t x = 0; x < width_; ++x) value[x] -= best[x];
    }
    values_.exp_();
    sums_.zero_();
    float* __restrict sum = sums_.data_ptr<float>();
    for (int64_t c = 0; c < rows_.classes(); ++c) {
      const float* value = Values(c);
      for (int64_t x = 0; x < width_; ++x) sum[x] += value[x];
    }
  }

  // Then the gradient by them: softmax minus the largest class, by the pixel's share.
  double TakeLoss() {
    TakeExponentials();
    float* sum = sums_.data_ptr<float>();
    const float pixels = static_cast<float>(pixels_);
    for (int64_t x = 0; x < width_; ++x) scale_[x] = Weight(label_[x]) / (pixels * sum[x]);
    for (int64_t c = 0; c < rows_.classes(); ++c) {
      float* __restrict value = Values(c);
      for (int64_t x = 0; x < width_; ++x) value[x] *= scale_[x];
    }
    sums_.log_();
    double loss = 0;
    for (int64_t x = 0; x < width_; ++x) {
      const float weight = Weight(label_[x]);
      Values(label_[x])[x] -= weight / pixels;
      loss += weight * sum[x];
    }
    return loss;
  }

  // What EnlargeRow does, the other way round.
  void ShrinkRow() {
    std::fill(by_row_.begin(), by_row_.end(), 0.0f);
    for (const EnlargedRows::Run& run : rows_.runs()) {
      const float* share = rows_.shares() + run.first;
      for (int64_t c = 0; c < rows_.classes(); ++c) {
        float* left = &by_row_[c * (columns_ + 2) + 1 + run.cell];
        const float* value = Values(c) + run.first;
        for (int64_t x = 0; x < run.count; ++x) left[x] += (1 - share[x]) * value[x];
        for (int64_t x = 0; x < run.count; ++x) left[x + 1] += share[x] * value[x];
      }
    }
    for (int64_t c = 0; c < rows_.classes(); ++c) {
      float* row = &by_row_[c * (columns_ + 2)];
      row[1] += row[0];
      row[columns_] += row[columns_ + 1];
    }
  }

  void AddToCells(const EnlargedRows::Around& around, Part& part) const {
    const int64_t rows = part.by_cells.size(2);
    const auto add = [&](int64_t c, int64_t cell_row, float share) {
      const float* from = &by_row_[c * (columns_ + 2) + 1];
      float* to =
          part.by_cells.data_ptr<float>() + (c * rows + cell_row - part.first_row) * columns_;
      for (int64_t x = 0; x < columns_; ++x) to[x] += share * from[x];
    };
    for (int64_t c = 0; c < rows_.classes(); ++c) {
      add(c, around.upper, 1 - around.share);
      add(c, around.lower, around.share);
    }
  }

  EnlargedRows rows_;
  const int64_t columns_, width_;
  const std::vector<float>& class_weights_;
  const double pixels_;
  at::Tensor values_, sums_;  // of the row's pixels as they are gathered: [C,width], [width]
  std::vector<float> best_, scale_;
  std::vector<int32_t> label_;
  std::vector<float> by_row_;  // the gradient by EnlargedRows' blended row
};

}  // namespace

LossGradient GradientOfEnlargedLoss(const at::Tensor& logits, const Enlargement& enlargement,
                                    int width, int height,
                                    const std::vector<float>& class_weights) {
  at::NoGradGuard no_gradient;
  TORCH_CHECK(height <= enlargement.to.height, "the logits do not cover the frame");
  const auto cells = logits.detach().contiguous();
  const double pixels = static_cast<double>(width) * height;
  std::vector<Part> parts((height + kRowsAtATime - 1) / kRowsAtATime);
  at::parallel_for(0, static_cast<int64_t>(parts.size()), 1, [&](int64_t begin, int64_t end) {
    LossOfRows rows(cells, enlargement, width, class_weights, pixels);
    for (int64_t i = begin; i < end; ++i)
      parts[i] = rows.Run(i * kRowsAtATime, std::min<int64_t>((i + 1) * kRowsAtATime, height));
  });
  LossGradient result{.by_logits = at::zeros_like(cells)};
  double loss = 0;
  for (const Part& part : parts) {
    loss += part.loss;
    result.by_logits.narrow(2, part.first_row, part.by_cells.size(2)).add_(part.by_cells);
  }
  result.value = at::scalar_tensor(loss / pixels, at::kDouble);
  return result;
}

}  // namespace stac
