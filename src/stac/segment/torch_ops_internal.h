#pragma once

#include <ATen/core/Tensor.h>

#include "stac/segment/frozen/enlarged_rows_internal.h"
#include "stac/segment/segmenter.h"

// The differentiable steps around a network. For LibTorch code only; all of them may throw.

namespace stac {

// By way of page-locked memory, which a GPU fills several times faster. On the CPU: the values as
// they are, contiguous.
at::Tensor OnHost(const at::Tensor& values);

// The samples of a frame as floating-point numbers 0..255.
struct FramePlanes {
  at::Tensor luma;    // [1,1,H,W]
  at::Tensor chroma;  // [1,2,H/2,W/2]: Cb, Cr
};
FramePlanes PlanesFromFrame(const Frame& frame, const at::TensorOptions& options);

// RGB [1,3,H,W] in 0..1 as `color` says, chroma repeated to full size. Differentiable: the
// backward pass sums the gradient over the pixels that share a chroma sample. Values are clamped
// to 0..1, but the gradient passes as if they were not (straight through): a clamped sample is
// still sensitive, since coding moves it back into the range as easily as further out, and the
// true one-sided gradient of zero would leave bright sky and black shadows unprotected.
at::Tensor RgbFromPlanes(const FramePlanes& planes, const ColorSpec& color);
// The same of a frame's planes, up to rounding; not differentiable.
at::Tensor RgbTensor(const Frame& frame, const at::TensorOptions& options);

// The objective's value for backward pass `pass` on logits [1,C,H,W]; a differentiable scalar.
// kProjection: the sum over pixels p and classes c of r(c, p) * softmax(logits)(c, p), with r a
// 64x64 tile of independent Gaussians per class that repeats over the frame: neighbouring pixels
// have independent weights, so their contributions cannot cancel systematically, and a pixel keeps
// its weights from frame to frame.
at::Tensor ObjectiveValue(const at::Tensor& logits, const Objective& objective, int pass);

// The fake-label loss and its gradient with respect to the logits, in closed form (softmax minus
// the predicted class, by the pixel's share): what differentiating ObjectiveValue gives, without
// the tensors and passes that autograd needs for it.
struct LossGradient {
  at::Tensor by_logits;  // as large as the logits
  at::Tensor value;      // a scalar where the logits lie: reading it waits for a GPU
};
LossGradient GradientOfLoss(const at::Tensor& logits, const std::vector<float>& class_weights);
// The same of the left upper width x height pixels of the enlarged logits, with respect to the
// small ones, without making the others: of floats [1,C,h,w] on the CPU. The gradient is `factor`
// times as large.
LossGradient GradientOfEnlargedLoss(const at::Tensor& logits, const Enlargement& enlargement,
                                    int width, int height, const std::vector<float>& class_weights,
                                    double factor = 1);

// The tile of ObjectiveValue: [1,C,64,64], a function of seed, pass and class count only.
at::Tensor ProjectionTile(uint64_t seed, int pass, int class_count);

// Class of the largest logit of each pixel (the lowest such class); logits [1,C,H,W], C <= 255.
LabelMap LabelsFromLogits(const at::Tensor& logits);
// The same of the left upper width x height pixels of the enlarged logits, without making them. On
// the CPU.
LabelMap LabelsOfEnlarged(const at::Tensor& logits, const Enlargement& enlargement, int width,
                          int height);

// How a network's input, [1,3,h,w], is made of a frame: its RGB, averaged over squares of
// `downscale` (1, 2, 4) pixels, with the last column and row repeated as far as the input is
// larger.
struct InputSource {
  ColorSpec color;
  int width, height;  // of the frame
  int downscale = 1;
};

// From the gradient at the input, times `factor`, to that of the samples: what differentiating
// RgbFromPlanes gives, in one pass instead of one for each of its steps. `by_rgb` may be
// overwritten. Without `chroma`, cb and cr are empty.
InputGradient GradientFromRgb(at::Tensor by_rgb, const InputSource& source, double factor,
                              bool chroma);
// The same where `by_rgb` lies, in steps of ATen: what GradientFromRgb does on a GPU, so that
// planes come back instead of three floats for each pixel. Without `chroma`, that is undefined.
FramePlanes PlaneGradients(at::Tensor by_rgb, const InputSource& source, double factor,
                           bool chroma);

// Adds what the gradients of one pass, as PlaneGradients has them, sum up to over regions, where
// `by_rgb` lies; only the sums, a number for each region, come back. Empty sums become as many as
// there are regions.
void AddRegionSums(at::Tensor by_rgb, const InputSource& source, double factor,
                   const RegionSums& wanted, Grid<float>& sums);

}  // namespace stac
