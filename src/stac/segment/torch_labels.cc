#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <span>
#include <vector>

#include "stac/segment/enlarged_rows_internal.h"
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

// Labels of rows of enlarged logits.
class RowLabeller {
 public:
  RowLabeller(const at::Tensor& logits, const Enlargement& enlargement, int64_t width)
      : rows_(logits, enlargement, width), best_(width), label_(width) {}

  void Run(int64_t y, std::span<uint8_t> labels) {
    rows_.Blend(y);
    for (const EnlargedRows::Run& run : rows_.runs()) LabelRun(run);
    rows_.Scatter(label_.data(), labels.data());
  }

 private:
  void LabelRun(const EnlargedRows::Run& run) {
    const float* share = rows_.shares() + run.first;
    float* __restrict best = &best_[run.first];
    int32_t* __restrict label = &label_[run.first];
    for (int64_t c = 0; c < rows_.classes(); ++c) {
      const float* left = rows_.Cells(c) + run.cell;
      for (int64_t x = 0; x < run.count; ++x) {
        const float value = (1 - share[x]) * left[x] + share[x] * left[x + 1];
        const bool larger = c == 0 || value > best[x];
        label[x] = larger ? static_cast<int32_t>(c) : label[x];
        best[x] = larger ? value : best[x];
      }
    }
  }

  EnlargedRows rows_;
  std::vector<float> best_;  // of the row's pixels as they are gathered
  std::vector<int32_t> label_;
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

LabelMap LabelsOfEnlarged(const at::Tensor& logits, const Enlargement& enlargement, int width,
                          int height) {
  at::NoGradGuard no_gradient;
  if (SizeOf(logits) == enlargement.to)
    return LabelsFromLogits(logits.slice(2, 0, height).slice(3, 0, width));
  TORCH_CHECK(height <= enlargement.to.height, "the logits do not cover the frame");
  const auto floats = logits.detach().to(at::kFloat).contiguous();
  LabelMap labels(width, height);
  at::parallel_for(0, height, 16, [&](int64_t begin, int64_t end) {
    RowLabeller rows(floats, enlargement, width);
    for (int64_t y = begin; y < end; ++y) rows.Run(y, labels.Row(static_cast<int>(y)));
  });
  return labels;
}

}  // namespace stac
