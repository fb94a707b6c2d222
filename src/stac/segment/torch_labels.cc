#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <span>
#include <vector>

#include "stac/base/wide_vectors.h"
#include "stac/segment/frozen/enlarged_rows_internal.h"
#include "stac/segment/frozen/map_layout_internal.h"
#include "stac/segment/torch_ops_internal.h"

namespace stac {
namespace {

constexpr int64_t kStrip = 1024;  // pixels

// One pass over the class planes for each strip of pixels; ATen's argmax strides over the planes
// for every pixel and is several times slower.
STAC_WIDE_VECTORS
void ArgmaxStrip(const float* logits, int64_t step, int64_t classes, int64_t count,
                 uint8_t* __restrict labels) {
  float best[kStrip];
  int32_t label[kStrip];  // as wide as the logits, which compilers can compare several of at a time
  for (int64_t i = 0; i < count; ++i) best[i] = logits[i];
  for (int64_t i = 0; i < count; ++i) label[i] = 0;
  for (int64_t c = 1; c < classes; ++c) {
    const float* plane = logits + c * step;
    for (int64_t i = 0; i < count; ++i) {
      const bool larger = plane[i] > best[i];
      label[i] = larger ? static_cast<int32_t>(c) : label[i];
      best[i] = larger ? plane[i] : best[i];
    }
  }
  for (int64_t i = 0; i < count; ++i) labels[i] = static_cast<uint8_t>(label[i]);
}

// Of one picture.
void Argmax(const at::Tensor& logits, uint8_t* labels) {
  const int64_t classes = logits.size(1), pixels = logits.size(2) * logits.size(3);
  const bool together = ChannelsSideBySide(logits);
  const float* data = logits.data_ptr<float>();
  at::parallel_for(0, (pixels + kStrip - 1) / kStrip, 16, [&](int64_t begin, int64_t end) {
    std::vector<float> planes(together ? classes * kStrip : 0);
    for (int64_t strip = begin; strip < end; ++strip) {
      const int64_t start = strip * kStrip, count = std::min(kStrip, pixels - start);
      if (together) PlanesFromPlaces(data + start * classes, classes, count, planes.data(), kStrip);
      ArgmaxStrip(together ? planes.data() : data + start, together ? kStrip : pixels, classes,
                  count, labels + start);
    }
  });
}

// Enlarges class c of a run of pixels, and remembers where it is the largest so far.
STAC_WIDE_VECTORS
void FindLarger(const float* left, const float* share, int32_t c, int64_t count,
                float* __restrict best, int32_t* __restrict label) {
  for (int64_t x = 0; x < count; ++x) {
    const float value = (1 - share[x]) * left[x] + share[x] * left[x + 1];
    const bool larger = c == 0 || value > best[x];
    label[x] = larger ? c : label[x];
    best[x] = larger ? value : best[x];
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
    for (int64_t c = 0; c < rows_.classes(); ++c)
      FindLarger(rows_.Cells(c) + run.cell, rows_.shares() + run.first, static_cast<int32_t>(c),
                 run.count, &best_[run.first], &label_[run.first]);
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
  const auto floats = logits.detach().to(at::kFloat);
  Argmax(IsPlainMap(floats) ? floats : floats.contiguous(), labels.data());
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
