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

// conv_transpose2d: what it answers is the gradient of a convolution at its input, and its own
// gradient is that convolution.
struct FrozenTransposedConvolution {
  FrozenConvolution turned_round;  // with the weight and the geometry of this one, and its bias
  std::array<int64_t, 2> output_padding = {0, 0};

  // Of x [N,C,H,W] (as fast as ATen without N).
  at::Tensor Run(const at::Tensor& x) const;
};

// Batch normalization and PReLU, or either of them, of x [N,C,...]: prelu(x * scale + shift).
// Without the gradients of its parameters, which take ATen most of the time.
struct FrozenActivation {
  at::Tensor scale, shift;  // [C], or both undefined
  at::Tensor slopes;        // [C] or [1]; or undefined, for no PReLU

  at::Tensor Run(const at::Tensor& x) const;
};

// Whether nobody will ask for the gradient at x.
bool ForwardOnly(const at::Tensor& x);

}  // namespace stac
