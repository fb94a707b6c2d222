#include <ATen/ATen.h>

#include <algorithm>

#include "stac/segment/network_answer_internal.h"

namespace stac {
namespace {

// The left upper part. A slice, even of everything, costs the backward pass a copy.
at::Tensor Cropped(const at::Tensor& x, TensorSize size) {
  if (SizeOf(x) == size) return x;
  return x.slice(2, 0, size.height).slice(3, 0, size.width);
}

at::Tensor Enlarged(const at::Tensor& x, TensorSize size, bool align_corners) {
  if (SizeOf(x) == size) return x;
  return at::upsample_bilinear2d(x, {size.height, size.width}, align_corners);
}

// By which whole factor, if by one.
std::optional<WholeEnlargement> Whole(TensorSize from, TensorSize to, bool align_corners) {
  const int64_t gaps = align_corners ? 1 : 0;
  if (from.height <= gaps || from.width <= gaps) return std::nullopt;
  const WholeEnlargement whole{static_cast<int>((to.height - gaps) / (from.height - gaps)),
                               align_corners};
  if (whole.factor < 2 || whole.Pixels(from.height) != to.height ||
      whole.Pixels(from.width) != to.width)
    return std::nullopt;
  return whole;
}

// The cells that lie inside the frame.
at::Tensor Inside(const at::Tensor& logits, TensorSize seen, TensorSize frame) {
  return Cropped(logits, {std::max<int64_t>(1, frame.height * logits.size(2) / seen.height),
                          std::max<int64_t>(1, frame.width * logits.size(3) / seen.width)});
}

}  // namespace

at::Tensor NetworkOutput::Answer() const {
  if (!enlargement) return logits;
  return Cropped(Enlarged(logits, enlargement->to, enlargement->align_corners), enlargement->kept);
}

NetworkAnswer::NetworkAnswer(const NetworkOutput& output, TensorSize seen, TensorSize frame)
    : seen_(seen), frame_(frame) {
  const bool on_cpu = output.logits.device().is_cpu();
  if (on_cpu && output.enlargement && output.enlargement->kept == seen &&
      output.logits.scalar_type() == at::kFloat) {
    const Enlargement& last = *output.enlargement;
    whole_ = Whole(SizeOf(output.logits), last.to, last.align_corners);
  }
  if (whole_) {
    own_ = output.enlargement;
    logits_ = loss_logits_ = output.logits;
    return;
  }
  logits_ = output.Answer();
  if (on_cpu) whole_ = Whole(SizeOf(logits_), seen, /*align_corners=*/false);
  loss_logits_ = Inside(logits_, seen, frame);
}

LabelMap NetworkAnswer::Labels(int64_t picture) const {
  if (!whole_) return LabelsFromLogits(OfPixels().narrow(0, picture, 1));
  return LabelsOfEnlarged(logits_.narrow(0, picture, 1), *whole_, static_cast<int>(frame_.width),
                          static_cast<int>(frame_.height));
}

at::Tensor NetworkAnswer::OfPixels() const {
  const auto enlarged = own_ ? Enlarged(logits_, own_->to, own_->align_corners)
                             : Enlarged(logits_, seen_, /*align_corners=*/false);
  return Cropped(enlarged, frame_);
}

LossGradient NetworkAnswer::Loss(int64_t picture, const std::vector<float>& class_weights) const {
  const auto logits = loss_logits_.narrow(0, picture, 1).detach();
  if (!own_) return GradientOfLoss(logits, class_weights);
  return GradientOfEnlargedLoss(logits, *whole_, static_cast<int>(frame_.width),
                                static_cast<int>(frame_.height), class_weights);
}

double NetworkAnswer::LossCount() const {
  const TensorSize size = own_ ? frame_ : SizeOf(loss_logits_);
  return static_cast<double>(size.height * size.width);
}

}  // namespace stac
