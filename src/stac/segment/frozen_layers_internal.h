#pragma once

#include <ATen/core/Tensor.h>

#include "stac/segment/convolution_gradient_internal.h"

// Layers whose weights nobody trains. They answer as ATen's do, and on the way back give the
// gradient at their input and nothing else. For LibTorch code only; all of them may throw.

namespace stac {

struct FrozenConvolution {
  at::Tensor weight;           // [out, in / groups, h, w]
  at::Tensor bias;             // [out], or undefined
  at::Tensor gradient_kernel;  // InputGradientKernel's
  ConvGeometry geometry;

  // Of x [N,C,H,W] (as fast as ATen without N). Keeps neither its input nor its output for the way
  // back.
  at::Tensor Run(const at::Tensor& x) const;
};

// prelu of x [N,C,...] with C slopes or one. ATen's way back also computes the slopes' gradient,
// which takes most of its time.
at::Tensor FrozenPrelu(const at::Tensor& x, const at::Tensor& slopes);

}  // namespace stac
