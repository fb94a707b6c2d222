#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <vector>

#include "stac/segment/torch_ops_internal.h"

namespace stac {
namespace {

constexpr int kTile = 64;

at::Tensor PlaneTensor(const PlaneView& plane) {
  return at::from_blob(const_cast<uint8_t*>(plane.data), {1, 1, plane.height, plane.width},
                       {0, 0, plane.stride, 1}, at::kByte);
}

// splitmix64: a well-mixed function of a counter, the same on every machine.
uint64_t Mix(uint64_t z) {
  z += 0x9e3779b97f4a7c15;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

// Class of the largest logit of each pixel, [1,1,H,W], as gather takes them.
at::Tensor LargestClass(const at::Tensor& logits) {
  at::NoGradGuard no_gradient;
  if (!logits.device().is_cpu() || logits.scalar_type() != at::kFloat) {
    return logits.argmax(1, /*keepdim=*/true);
  }
  const LabelMap labels = LabelsFromLogits(logits);  // several times faster
  return at::from_blob(const_cast<uint8_t*>(labels.data()), {1, 1, labels.height(), labels.width()},
                       at::kByte)
      .to(at::kLong);
}

// Weight of each pixel, [1,1,H,W], by its predicted class; undefined if all are 1.
at::Tensor PixelWeights(const at::Tensor& logits, const std::vector<float>& class_weights) {
  if (class_weights.empty()) return {};
  at::NoGradGuard no_gradient;
  const auto weights = at::tensor(class_weights, at::kFloat).to(logits.options());
  const auto labels = LargestClass(logits);
  return weights.index_select(0, labels.flatten()).view(labels.sizes());
}

// How luma, Cb and Cr, in steps of 8-bit samples, add to R, G and B in 0..1.
struct RgbWeights {
  double luma;
  double r_from_cr, g_from_cb, g_from_cr, b_from_cb;
};
RgbWeights WeightsOf(const ColorSpec& color) {
  const bool bt601 = color.matrix == ColorMatrix::kBt601;
  const double kr = bt601 ? 0.299 : 0.2126;
  const double kb = bt601 ? 0.114 : 0.0722;
  const double kg = 1 - kr - kb;
  const bool limited = color.range == ColorRange::kLimited;
  const double chroma = 1.0 / (limited ? 224 : 255);
  return {.luma = 1.0 / (limited ? 219 : 255),
          .r_from_cr = 2 * (1 - kr) * chroma,
          .g_from_cb = -2 * kb * (1 - kb) / kg * chroma,
          .g_from_cr = -2 * kr * (1 - kr) / kg * chroma,
          .b_from_cb = 2 * (1 - kb) * chroma};
}

// From a GPU by way of page-locked memory, which it fills several times faster. plane: [H,W].
Grid<float> GridFromPlane(const at::Tensor& plane) {
  const auto host = at::empty(
      plane.sizes(), at::TensorOptions(at::kFloat).pinned_memory(!plane.device().is_cpu()));
  host.copy_(plane);
  Grid<float> grid(static_cast<int>(plane.size(1)), static_cast<int>(plane.size(0)));
  std::copy_n(host.data_ptr<float>(), grid.size(), grid.data());
  return grid;
}

// What repeating the last column and row needs on the way back: their sums, [3,height,width].
at::Tensor FoldPadding(at::Tensor by_rgb, int64_t height, int64_t width) {
  const int64_t right = by_rgb.size(2), bottom = by_rgb.size(1);
  if (right > width) by_rgb.select(2, width - 1).add_(by_rgb.slice(2, width, right).sum(2));
  if (bottom > height) by_rgb.select(1, height - 1).add_(by_rgb.slice(1, height, bottom).sum(1));
  return by_rgb.slice(1, 0, height).slice(2, 0, width);
}

// Fills the gradient from rows [begin, end) of chroma samples. folded: [3,h,w] floats. A frame's
// pixels beyond the last whole square were not looked at.
template <int kDownscale, bool kChroma>
void SamplesFromRgb(const at::Tensor& folded, const RgbWeights& weights, int64_t begin, int64_t end,
                    InputGradient& gradient) {
  // Averaging spreads a gradient evenly.
  constexpr double kShare = 1.0 / (kDownscale * kDownscale);
  const auto by_luma = static_cast<float>(weights.luma * kShare);
  const auto cr_of_r = static_cast<float>(weights.r_from_cr * kShare);
  const auto cb_of_g = static_cast<float>(weights.g_from_cb * kShare);
  const auto cr_of_g = static_cast<float>(weights.g_from_cr * kShare);
  const auto cb_of_b = static_cast<float>(weights.b_from_cb * kShare);
  const float* data = folded.data_ptr<float>();
  const int64_t plane = folded.stride(0), stride = folded.stride(1);
  const auto columns = static_cast<int>(folded.size(2)) * kDownscale / 2;
  for (int64_t j = begin; j < end; ++j) {
    float* __restrict cb = kChroma ? gradient.cb.Row(static_cast<int>(j)).data() : nullptr;
    float* __restrict cr = kChroma ? gradient.cr.Row(static_cast<int>(j)).data() : nullptr;
    for (int64_t y = 2 * j; y < 2 * j + 2; ++y) {
      const float* __restrict r = data + y / kDownscale * stride;
      const float* __restrict g = r + plane;
      const float* __restrict b = g + plane;
      float* __restrict luma = gradient.y.Row(static_cast<int>(y)).data();
      for (int i = 0; i < columns; ++i) {
        const int left = 2 * i / kDownscale, right = (2 * i + 1) / kDownscale;
        luma[2 * i] = by_luma * (r[left] + g[left] + b[left]);
        luma[2 * i + 1] = by_luma * (r[right] + g[right] + b[right]);
        if constexpr (!kChroma) continue;
        const float green = g[left] + g[right];
        cb[i] += cb_of_g * green + cb_of_b * (b[left] + b[right]);
        cr[i] += cr_of_g * green + cr_of_r * (r[left] + r[right]);
      }
    }
  }
}

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
// place in the cell, alone, so pixels are gathered by phase, where neighbours are neighbouring cells.
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

// Class indices [1,1,H,W] as gather takes them, on the device of `logits`. Where the logits are of
// a reduced frame, every n-th label counts.
at::Tensor TensorFromLabels(const LabelMap& labels, const at::Tensor& logits) {
  const int64_t step = std::max<int64_t>(1, labels.height() / logits.size(2));
  TORCH_CHECK(labels.height() == step * logits.size(2) && labels.width() == step * logits.size(3),
              "the labels of the loss are not as large as the frame");
  const auto view = at::from_blob(const_cast<uint8_t*>(labels.data()),
                                  {1, 1, labels.height(), labels.width()}, at::kByte)
                        .slice(2, 0, labels.height(), step)
                        .slice(3, 0, labels.width(), step);
  const auto indices = view.to(at::kLong);
  TORCH_CHECK(indices.max().item().toLong() < logits.size(1),
              "the labels of the loss have classes that the network does not have");
  return indices.to(logits.device());
}

}  // namespace

FramePlanes PlanesFromFrame(const Frame& frame, const at::TensorOptions& options) {
  const auto chroma = at::cat({PlaneTensor(frame.plane(1)), PlaneTensor(frame.plane(2))}, 1);
  // Bytes travel to the GPU, not floats.
  const auto moved = [&options](const at::Tensor& bytes) {
    return bytes.to(options.device()).to(options);
  };
  return {moved(PlaneTensor(frame.y())), moved(chroma)};
}

at::Tensor RgbFromPlanes(const FramePlanes& planes, const ColorSpec& color) {
  const RgbWeights weights = WeightsOf(color);
  const bool limited = color.range == ColorRange::kLimited;

  // R, G, B = luma + what chroma adds; the latter is computed at chroma size, where it is cheap.
  const std::vector<double> rows = {0,
                                    weights.r_from_cr,  // R
                                    weights.g_from_cb,
                                    weights.g_from_cr,  // G
                                    weights.b_from_cb,
                                    0};  // B
  const auto weight = at::tensor(rows, at::kDouble)
                          .view({3, 2, 1, 1})
                          .to(planes.chroma.options().requires_grad(false));
  const auto added = at::conv2d(planes.chroma - 128, weight);
  const auto full_size = at::upsample_nearest2d(added, {planes.luma.size(2), planes.luma.size(3)});
  const auto rgb = full_size + (planes.luma - (limited ? 16 : 0)) * weights.luma;

  at::Tensor excess;
  {
    at::NoGradGuard no_gradient;
    excess = rgb - rgb.clamp(0, 1);
  }
  return rgb - excess;
}

at::Tensor ProjectionTile(uint64_t seed, int pass, int class_count) {
  const auto tile = at::empty({1, class_count, kTile, kTile}, at::kDouble);
  const std::span<double> values(tile.data_ptr<double>(), static_cast<size_t>(tile.numel()));
  // Box-Muller on uniforms in (0, 1].
  const uint64_t stream = Mix(seed) ^ Mix(static_cast<uint64_t>(pass) << 32 | class_count);
  for (size_t i = 0; i < values.size(); i += 2) {
    const double u = ((Mix(stream + i) >> 11) + 1) * 0x1p-53;
    const double v = ((Mix(stream + i + 1) >> 11) + 1) * 0x1p-53;
    const double radius = std::sqrt(-2 * std::log(u));
    values[i] = radius * std::cos(2 * std::numbers::pi * v);
    values[i + 1] = radius * std::sin(2 * std::numbers::pi * v);
  }
  return tile;
}

at::Tensor ObjectiveValue(const at::Tensor& logits, const Objective& objective, int pass) {
  const auto weights = PixelWeights(logits, objective.class_weights);
  at::Tensor share;  // of each pixel, [1,1,H,W]
  if (objective.kind == ObjectiveKind::kProjection) {
    const int64_t height = logits.size(2), width = logits.size(3);
    const auto r = ProjectionTile(objective.seed, pass, static_cast<int>(logits.size(1)))
                       .to(logits.options().requires_grad(false))
                       .repeat({1, 1, (height + kTile - 1) / kTile, (width + kTile - 1) / kTile})
                       .slice(2, 0, height)
                       .slice(3, 0, width);
    share = (logits.softmax(1) * r).sum(1, /*keepdim=*/true);
  } else {
    const bool loss = objective.kind == ObjectiveKind::kFakeLabelLoss;
    const auto labels = loss && objective.labels != nullptr
                            ? TensorFromLabels(*objective.labels, logits)
                            : LargestClass(logits);
    if (loss) {
      share = logits.log_softmax(1).gather(1, labels).neg();
    } else {
      const auto others = logits.scatter(1, labels, -INFINITY);
      share = logits.gather(1, labels) - others.amax(1, /*keepdim=*/true);
    }
  }
  if (weights.defined()) share = share * weights;
  return objective.kind == ObjectiveKind::kProjection ? share.sum() : share.mean();
}

LossGradient GradientOfLoss(const at::Tensor& logits, const std::vector<float>& class_weights) {
  at::NoGradGuard no_gradient;
  const auto labels = LargestClass(logits);
  const auto weights = PixelWeights(logits, class_weights);
  LossGradient result{.by_logits = logits.detach().softmax(1)};
  auto chosen = result.by_logits.gather(1, labels);
  auto share = chosen.log().neg_();
  if (weights.defined()) share.mul_(weights);
  result.value = share.mean();
  result.by_logits.scatter_(1, labels, chosen.sub_(1));
  if (weights.defined()) result.by_logits.mul_(weights);
  result.by_logits.div_(static_cast<double>(labels.numel()));
  return result;
}

LabelMap LabelsFromLogits(const at::Tensor& logits) {
  at::NoGradGuard no_gradient;
  const int height = static_cast<int>(logits.size(2));
  const int width = static_cast<int>(logits.size(3));
  LabelMap labels(width, height);
  if (!logits.device().is_cpu()) {
    const auto bytes = logits.argmax(1).to(at::kByte).to(at::kCPU).contiguous();
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

FramePlanes PlaneGradients(at::Tensor by_rgb, const ColorSpec& color, int width, int height,
                           int downscale, bool chroma) {
  at::NoGradGuard no_gradient;
  const RgbWeights weights = WeightsOf(color);
  at::Tensor full = FoldPadding(by_rgb[0], height / downscale, width / downscale).unsqueeze(0);
  if (downscale > 1) {
    // Averaging spreads a gradient evenly; pixels beyond the last whole square were not looked at.
    const int64_t right = full.size(3) * downscale, bottom = full.size(2) * downscale;
    full = at::constant_pad_nd(at::upsample_nearest2d(full, {bottom, right}),
                               {0, width - right, 0, height - bottom})
               .div_(downscale * downscale);
  }
  FramePlanes gradients{.luma = full.sum(1, /*keepdim=*/true) * weights.luma};
  if (chroma) {
    const auto sums = at::avg_pool2d(full, {2, 2}) * 4;
    const auto r = sums.select(1, 0), g = sums.select(1, 1), b = sums.select(1, 2);
    gradients.chroma = at::stack({weights.g_from_cb * g + weights.b_from_cb * b,
                                  weights.r_from_cr * r + weights.g_from_cr * g},
                                 1);
  }
  return gradients;
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

InputGradient GradientFromRgb(at::Tensor by_rgb, const ColorSpec& color, int width, int height,
                              int downscale, bool chroma) {
  at::NoGradGuard no_gradient;
  InputGradient gradient;
  if (!by_rgb.device().is_cpu()) {
    const FramePlanes planes =
        PlaneGradients(std::move(by_rgb), color, width, height, downscale, chroma);
    gradient.y = GridFromPlane(planes.luma[0][0]);
    if (chroma) gradient.cb = GridFromPlane(planes.chroma[0][0]);
    if (chroma) gradient.cr = GridFromPlane(planes.chroma[0][1]);
    return gradient;
  }
  const int small_width = width / downscale, small_height = height / downscale;
  const auto folded = FoldPadding(by_rgb.to(at::kFloat).contiguous()[0], small_height, small_width);
  TORCH_CHECK(folded.size(1) == small_height && folded.size(2) == small_width &&
                  folded.stride(2) == 1 && width % 2 == 0 && height % 2 == 0,
              "the gradient does not belong to the frame");
  gradient.y = Grid<float>(width, height);
  if (chroma) gradient.cb = gradient.cr = Grid<float>(width / 2, height / 2);
  const auto run = [&](auto rows) {
    at::parallel_for(
        0, small_height * downscale / 2, 16,
        [&](int64_t begin, int64_t end) { rows(folded, WeightsOf(color), begin, end, gradient); });
  };
  if (downscale == 1) run(chroma ? SamplesFromRgb<1, true> : SamplesFromRgb<1, false>);
  if (downscale == 2) run(chroma ? SamplesFromRgb<2, true> : SamplesFromRgb<2, false>);
  if (downscale == 4) run(chroma ? SamplesFromRgb<4, true> : SamplesFromRgb<4, false>);
  return gradient;
}

}  // namespace stac
