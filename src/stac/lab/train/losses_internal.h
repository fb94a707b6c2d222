#pragma once

#include <torch/types.h>

namespace stac {

constexpr int64_t kUnknownLabel = 255;

// Probabilities [N,C,H,W] raised to a power of at least 1, scaled to a sum of 1 again.
torch::Tensor Sharpened(const torch::Tensor& probabilities, double power);

// The weighted mean over cells of -sum_k target_k log softmax(logits)_k; without balance that is
// the KL divergence from the teacher up to a constant. A cell's weight is the mean, over its
// target, of (its class's share of the batch)^-balance, scaled to a mean of 1 over the batch.
// `logits` [N,C,h,w] are resized to the probabilities `teacher` [N,C,H,W].
torch::Tensor TeacherLoss(const torch::Tensor& logits, const torch::Tensor& teacher,
                          double balance);

// The mean cross-entropy over the known labels [N,H,W] (int64); 0 where none is known.
torch::Tensor LabelsLoss(const torch::Tensor& logits, const torch::Tensor& labels);

}  // namespace stac
