#include <ATen/ATen.h>

#include <algorithm>

#include "stac/segment/frozen/map_layout_internal.h"
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

bool Covers(TensorSize size, TensorSize other) {
  return size.height >= other.height && size.width >= other.width;
}

// The cells that lie inside the frame.
at::Tensor Inside(const at::Tensor& logits, TensorSize seen, TensorSize frame) {
  return Cropped(logits, {std::max<int64_t>(1, frame.height * logits.size(2) / seen.height),
                          std::max<int64_t>(1, frame.width * logits.size(3) / seen.width)});
}

}  // namespace

at::Tensor NetworkOutput::Answer() const {
  if (!enlargement) return logits;
  return Cropped(Enlarged(logits, enlargement->to, enlargement->align_corners), kept);
}

NetworkAnswer::NetworkAnswer(const NetworkOutput& output, TensorSize seen, TensorSize frame)
    : seen_(seen), frame_(frame) {
  const bool on_cpu = output.logits.device().is_cpu();
  const TensorSize size = SizeOf(output.logits);
  const Enlargement own = output.enlargement.value_or(Enlargement{.to = size});
  of_pixels_ = on_cpu && output.logits.scalar_type() == at::kFloat && output.AnswerSize() == seen &&
               Covers(own.to, size);
  if (of_pixels_) {
    enlargement_ = own;
    logits_ = loss_logits_ = output.logits;
  } else {
    logits_ = output.Answer();
    if (on_cpu && Covers(seen, SizeOf(logits_))) enlargement_ = Enlargement{.to = seen};
    loss_logits_ = Inside(logits_, seen, frame);
  }
  if (!enlargement_) return;
  values_ = logits_.detach().to(at::kFloat);
  const bool whole = IsPlainMap(values_) && SizeOf(values_) == enlargement_->to;
  if (!whole) values_ = LaidOut(values_, at::MemoryFormat::Contiguous);
}

LabelMap NetworkAnswer::Labels(int64_t picture) const {
  if (!enlargement_) return LabelsFromLogits(OfPixels(logits_.narrow(0, picture, 1)));
  return LabelsOfEnlarged(values_.narrow(0, picture, 1), *enlargement_,
                          static_cast<int>(frame_.width), static_cast<int>(frame_.height));
}

at::Tensor NetworkAnswer::OfPixels(const at::Tensor& logits) const {
  const Enlargement all = enlargement_.value_or(Enlargement{.to = seen_});
  return Cropped(Enlarged(logits, all.to, all.align_corners), frame_);
}

LossGradient NetworkAnswer::Loss(int64_t picture, const std::vector<float>& class_weights,
                                 double factor) const {
  if (!of_pixels_) {
    LossGradient loss = GradientOfLoss(loss_logits_.narrow(0, picture, 1).detach(), class_weights);
    if (factor != 1) loss.by_logits.mul_(factor);
    return loss;
  }
  return GradientOfEnlargedLoss(values_.narrow(0, picture, 1), *enlargement_,
                                static_cast<int>(frame_.width), static_cast<int>(frame_.height),
                                class_weights, factor);
}

double NetworkAnswer::LossCount() const {
  const TensorSize size = of_pixels_ ? frame_ : SizeOf(loss_logits_);
  return static_cast<double>(size.height * size.width);
}

}  // namespace stac
