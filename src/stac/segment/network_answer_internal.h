#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "stac/segment/torch_ops_internal.h"

// What a network answers, and what is made of it. For LibTorch code only.

namespace stac {

// Height and width.
struct TensorSize {
  int64_t height = 0, width = 0;
  bool operator==(const TensorSize&) const = default;
};
inline TensorSize SizeOf(const at::Tensor& x) { return {x.size(2), x.size(3)}; }

// The bilinear enlargement with which many networks end.
struct Enlargement {
  TensorSize to;
  bool align_corners = false;
  TensorSize kept;  // the left upper part, which is the answer
};

// An answer, whose enlargement may be left to do: labels and the loss need no enlarged logits.
struct NetworkOutput {
  NetworkOutput(at::Tensor answer) : logits(std::move(answer)) {}  // NOLINT: it is one
  NetworkOutput(at::Tensor small, const Enlargement& enlarge)
      : logits(std::move(small)), enlargement(enlarge) {}

  // The whole answer, [N,C,H,W].
  at::Tensor Answer() const;
  TensorSize AnswerSize() const { return enlargement ? enlargement->kept : SizeOf(logits); }

  at::Tensor logits;  // [N,C,h,w]
  std::optional<Enlargement> enlargement;
};

// The output of one pass over pictures of size `frame`, which were padded to `seen`.
class NetworkAnswer {
 public:
  NetworkAnswer(const NetworkOutput& output, TensorSize seen, TensorSize frame);

  LabelMap Labels(int64_t picture) const;
  // The logits of every pixel, [N,C,H,W]; differentiable.
  at::Tensor OfPixels() const;
  // The fake-label loss of a picture, with its gradient with respect to LossLogits(). It is the
  // mean over the network's answer: over pixels, or over the cells that lie inside the frame if it
  // answers with fewer.
  LossGradient Loss(int64_t picture, const std::vector<float>& class_weights) const;
  const at::Tensor& LossLogits() const { return loss_logits_; }
  double LossCount() const;  // of those pixels or cells

 private:
  TensorSize seen_, frame_;
  at::Tensor logits_;
  // Left to the network's own enlargement, or to us.
  std::optional<Enlargement> own_;
  std::optional<WholeEnlargement> whole_;
  at::Tensor loss_logits_;
};

}  // namespace stac
