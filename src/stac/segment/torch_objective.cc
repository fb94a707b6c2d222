#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <span>
#include <vector>

#include "stac/segment/torch_ops_internal.h"

namespace stac {
namespace {

constexpr int kTile = 64;

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

}  // namespace stac
