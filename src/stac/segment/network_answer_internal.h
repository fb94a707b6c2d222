#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "stac/segment/torch_ops_internal.h"

// What a network answers, and what is made of it. For LibTorch code only.

namespace stac {

// An answer. The enlargement with which many networks end may be left to do: labels and the loss
// need no enlarged logits.
struct NetworkOutput {
  NetworkOutput(at::Tensor answer) : logits(std::move(answer)) {}  // NOLINT: it is one
  NetworkOutput(at::Tensor small, const Enlargement& enlarge, TensorSize keep)
      : logits(std::move(small)), enlargement(enlarge), kept(keep) {}

  // The whole answer, [N,C,H,W].
  at::Tensor Answer() const;
  TensorSize AnswerSize() const { return enlargement ? kept : SizeOf(logits); }

  at::Tensor logits;  // [N,C,h,w]
  std::optional<Enlargement> enlargement;
  TensorSize kept;  // of what is enlarged the left upper part, which is the answer
};

// The output of one pass over pictures of size `frame`, which were padded to `seen`.
class NetworkAnswer {
 public:
  NetworkAnswer(const NetworkOutput& output, TensorSize seen, TensorSize frame);

  LabelMap Labels(int64_t picture) const;
  // The logits of every pixel, [N,C,H,W]; differentiable.
  at::Tensor OfPixels() const { return OfPixels(logits_); }
  // The fake-label loss of a picture, with its gradient with respect to LossLogits(). It is the
  // mean over the network's answer: over pixels, or over the cells that lie inside the frame if it
  // answers with fewer. The gradient is `factor` times as large.
  LossGradient Loss(int64_t picture, const std::vector<float>& class_weights, double factor) const;
  const at::Tensor& LossLogits() const { return loss_logits_; }
  double LossCount() const;  // of those pixels or cells

 private:
  at::Tensor OfPixels(const at::Tensor& logits) const;

  TensorSize seen_, frame_;
  at::Tensor logits_;
  // On the CPU: what is left to do, be it the network's own enlargement, one of ours, or none.
  std::optional<Enlargement> enlargement_;
  at::Tensor values_;  // then: logits_ as floats, class by class if there is something left to do
  // Whether the network itself answers for pixels, which the loss then counts.
  bool of_pixels_ = false;
  at::Tensor loss_logits_;
};

}  // namespace stac
