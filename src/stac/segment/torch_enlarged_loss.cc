#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <numeric>
#include <utility>
#include <vector>

#include "stac/base/wide_vectors.h"
#include "stac/segment/frozen/map_layout_internal.h"
#include "stac/segment/row_loss_internal.h"
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

STAC_WIDE_VECTORS
void EnlargeRun(const float* left, const float* share, int64_t count, float* __restrict value) {
  for (int64_t x = 0; x < count; ++x) value[x] = (1 - share[x]) * left[x] + share[x] * left[x + 1];
}

STAC_WIDE_VECTORS
void ShrinkRun(const float* value, const float* share, int64_t count, float* __restrict left) {
  for (int64_t x = 0; x < count; ++x) left[x] += (1 - share[x]) * value[x];
  for (int64_t x = 0; x < count; ++x) left[x + 1] += share[x] * value[x];
}

STAC_WIDE_VECTORS
void AddTimes(const float* from, float share, int64_t count, float* __restrict to) {
  for (int64_t x = 0; x < count; ++x) to[x] += share * from[x];
}

// Row by row: enlarge, find labels and loss, and take the gradient back to the cells.
class LossOfRows {
 public:
  LossOfRows(const at::Tensor& logits, const Enlargement& enlargement, int64_t width, RowLoss loss)
      : rows_(logits, enlargement, width),
        columns_(logits.size(3)),
        width_(width),
        loss_(std::move(loss)),
        by_row_(rows_.classes() * (columns_ + 2)) {}

  Part Run(int64_t begin, int64_t end) {
    Part part{.first_row = rows_.RowsAround(begin).upper};
    const int64_t touched = rows_.RowsAround(end - 1).lower - part.first_row + 1;
    part.by_cells = at::zeros({1, rows_.classes(), touched, columns_}, at::kFloat);
    for (int64_t y = begin; y < end; ++y) {
      rows_.Blend(y);
      EnlargeRow();
      part.loss += loss_.Take(width_);
      ShrinkRow();
      AddToCells(rows_.RowsAround(y), part);
    }
    return part;
  }

 private:
  void EnlargeRow() {
    for (const EnlargedRows::Run& run : rows_.runs()) {
      for (int64_t c = 0; c < rows_.classes(); ++c)
        EnlargeRun(rows_.Cells(c) + run.cell, rows_.shares() + run.first, run.count,
                   loss_.Values(c) + run.first);
    }
  }

  // What EnlargeRow does, the other way round.
  void ShrinkRow() {
    std::fill(by_row_.begin(), by_row_.end(), 0.0f);
    for (const EnlargedRows::Run& run : rows_.runs()) {
      for (int64_t c = 0; c < rows_.classes(); ++c)
        ShrinkRun(loss_.Values(c) + run.first, rows_.shares() + run.first, run.count,
                  &by_row_[c * (columns_ + 2) + 1 + run.cell]);
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
      float* to =
          part.by_cells.data_ptr<float>() + (c * rows + cell_row - part.first_row) * columns_;
      AddTimes(&by_row_[c * (columns_ + 2) + 1], share, columns_, to);
    };
    for (int64_t c = 0; c < rows_.classes(); ++c) {
      add(c, around.upper, 1 - around.share);
      add(c, around.lower, around.share);
    }
  }

  EnlargedRows rows_;
  const int64_t columns_, width_;
  RowLoss loss_;               // of the row's pixels as they are gathered
  std::vector<float> by_row_;  // the gradient by EnlargedRows' blended row
};

LossGradient LossOfEnlarged(const at::Tensor& cells, const Enlargement& enlargement, int width,
                            int height, const RowLoss& of_rows) {
  std::vector<Part> parts((height + kRowsAtATime - 1) / kRowsAtATime);
  at::parallel_for(0, static_cast<int64_t>(parts.size()), 1, [&](int64_t begin, int64_t end) {
    LossOfRows rows(cells, enlargement, width, of_rows);
    for (int64_t i = begin; i < end; ++i)
      parts[i] = rows.Run(i * kRowsAtATime, std::min<int64_t>((i + 1) * kRowsAtATime, height));
  });
  LossGradient result{.by_logits = at::zeros_like(cells)};
  double loss = 0;
  for (const Part& part : parts) {
    loss += part.loss;
    result.by_logits.narrow(2, part.first_row, part.by_cells.size(2)).add_(part.by_cells);
  }
  result.value = at::scalar_tensor(loss, at::kDouble);
  return result;
}

// Of logits of every pixel, whose order is kept.
LossGradient LossOfWhole(const at::Tensor& logits, int width, int height, const RowLoss& of_rows) {
  const int64_t classes = logits.size(1), places = logits.size(2) * logits.size(3),
                row = logits.size(3);
  const bool together = ChannelsSideBySide(logits);
  const bool all = width == row && height == logits.size(2);
  LossGradient result{.by_logits = all ? at::empty_like(logits) : at::zeros_like(logits)};
  const float* from = logits.data_ptr<float>();
  float* to = result.by_logits.data_ptr<float>();
  std::vector<double> losses(height);
  at::parallel_for(0, height, kRowsAtATime, [&](int64_t begin, int64_t end) {
    RowLoss loss = of_rows;
    for (int64_t y = begin; y < end; ++y) {
      const int64_t start = y * row;
      if (together) {
        PlanesFromPlaces(from + start * classes, classes, width, loss.Values(0), loss.step());
        losses[y] = loss.Take(width);
        PlacesFromPlanes(loss.Values(0), loss.step(), classes, width, to + start * classes);
        continue;
      }
      for (int64_t c = 0; c < classes; ++c)
        std::copy_n(from + c * places + start, width, loss.Values(c));
      losses[y] = loss.Take(width);
      for (int64_t c = 0; c < classes; ++c)
        std::copy_n(loss.Values(c), width, to + c * places + start);
    }
  });
  result.value = at::scalar_tensor(std::accumulate(losses.begin(), losses.end(), 0.0), at::kDouble);
  return result;
}

}  // namespace

LossGradient GradientOfEnlargedLoss(const at::Tensor& logits, const Enlargement& enlargement,
                                    int width, int height, const std::vector<float>& class_weights,
                                    double factor) {
  at::NoGradGuard no_gradient;
  TORCH_CHECK(width <= enlargement.to.width && height <= enlargement.to.height,
              "the logits do not cover the frame");
  const double pixels = static_cast<double>(width) * height;
  const RowLoss of_rows(logits.size(1), width, class_weights, pixels, factor);
  const auto values = logits.detach();
  LossGradient result =
      SizeOf(logits) == enlargement.to && IsPlainMap(values)
          ? LossOfWhole(values, width, height, of_rows)
          : LossOfEnlarged(values.contiguous(), enlargement, width, height, of_rows);
  result.value.div_(pixels);
  return result;
}

}  // namespace stac
