#include "stac/lab/train/losses_internal.h"
#include "stac/segment/networks/layers_internal.h"

namespace stac {

torch::Tensor Sharpened(const torch::Tensor& probabilities, double power) {
  if (power == 1) return probabilities;
  // By the largest, so that no power of all of them becomes 0.
  const torch::Tensor largest = probabilities.amax(1, true).clamp_min(1e-12);
  const torch::Tensor raised = (probabilities / largest).pow(power);
  return raised / raised.sum(1, true).clamp_min(1e-12);
}

torch::Tensor TeacherLoss(const torch::Tensor& logits, const torch::Tensor& teacher,
                          double balance) {
  constexpr double kLeastShare = 1e-3;  // a class that is hardly there must not rule the batch
  const torch::Tensor sized = ResizeLike(logits.to(torch::kFloat), teacher);
  const torch::Tensor cross_entropy = -(teacher * sized.log_softmax(1)).sum(1);
  if (balance == 0) return cross_entropy.mean();
  const torch::Tensor share = teacher.mean({0, 2, 3}, /*keepdim=*/true).clamp_min(kLeastShare);
  const torch::Tensor weight = (teacher * share.pow(-balance)).sum(1);
  return (weight * cross_entropy).mean() / weight.mean();
}

torch::Tensor LabelsLoss(const torch::Tensor& logits, const torch::Tensor& labels) {
  const torch::Tensor sized = ResizeTo(logits.to(torch::kFloat), labels.size(1), labels.size(2));
  const torch::Tensor sum =
      torch::nll_loss2d(sized.log_softmax(1), labels, {}, at::Reduction::Sum, kUnknownLabel);
  // A batch without any known label must give 0, not 0 / 0.
  return sum / (labels != kUnknownLabel).sum().clamp_min(1);
}

}  // namespace stac
