#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>
#include <vector>

#include "stac/segment/frozen/convolution_gradient_internal.h"
#include "stac/segment/frozen/enlarged_rows_internal.h"

// Layers whose weights nobody trains. They answer as ATen's do, and on the way back give the
// gradient at their input and nothing else. For LibTorch code only; all of them may throw.

namespace stac {

struct FrozenConvolution {
  at::Tensor weight;           // [out, in / groups, h, w]
  at::Tensor bias;             // [out], or undefined
  at::Tensor gradient_kernel;  // InputGradientKernel's
  ConvGeometry geometry;
  bool relu = false;  // a ReLU behind it

  // Of x [N,C,H,W] (as fast as ATen without N). Keeps neither its input nor, on a CPU, its output
  // for the way back, but a byte for each value that a ReLU sees.
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
// Without the gradients of its parameters, which take ATen most of the time. Of maps of floats it
// keeps a byte for each value.
struct FrozenActivation {
  at::Tensor scale, shift;  // [C], or both undefined
  at::Tensor slopes;        // [C] or [1]; or undefined, for no PReLU

  at::Tensor Run(const at::Tensor& x) const;
};

// relu_ of a plain map (map_layout_internal.h), which must not be differentiated by itself. One
// byte for each value comes back, in the order in which they lie: 1 if it was let through.
at::Tensor RectifyInPlace(at::Tensor& map);
// The gradient before such a ReLU, by that behind it, in numbers of `type`: floats or bfloat16.
// by_output: plain, laid out as the map was; overwritten where nobody else sees it.
at::Tensor RectifiedGradient(const at::Tensor& by_output, const at::Tensor& passed,
                             at::ScalarType type);

// cat of maps along an axis. If one of them has its channels side by side, so has the result: ATen
// gives up that layout, with which everything behind is faster, for a single map laid out
// otherwise. Along the channels, what comes back is taken apart without gaps.
at::Tensor Joined(const std::vector<at::Tensor>& maps, int64_t axis);

// The channels of x [N,C,H,W] dealt out anew: those of `groups` groups, the first of each, the
// second of each and so on (Zhang et al. 2018, arXiv 1707.01083).
at::Tensor Shuffled(const at::Tensor& x, int64_t groups);

// So many of x, of the same memory, for as many that look at it: their gradients are added in one
// pass. x must not be changed in place from then on.
std::vector<at::Tensor> Copies(const at::Tensor& x, int64_t count);

// (rgb - zero) * factor of pictures [N,3,H,W], floats on the CPU in that order, with the channels
// of a place side by side; and the gradient at `rgb`, in the order of `rgb`, by that at the answer.
// zero, factor: [N,3,1,1] or [1,3,1,1].
at::Tensor Standardized(const at::Tensor& rgb, const at::Tensor& zero, const at::Tensor& factor);
at::Tensor StandardizedGradient(const at::Tensor& by_output, const at::Tensor& factor);

// ---- Maps of other sizes ----

// avg_pool2d as ATen has it, without ceil_mode and a divisor of one's own.
struct AveragePooling {
  std::array<int64_t, 2> kernel, stride;
  std::array<int64_t, 2> padding = {0, 0};
  bool count_padding = true;

  at::Tensor Run(const at::Tensor& x) const;
};
// adaptive_avg_pool2d and upsample_bilinear2d of x [N,C,H,W].
at::Tensor AveragedTo(const at::Tensor& x, TensorSize size);
at::Tensor EnlargedTo(const at::Tensor& x, const Enlargement& enlargement);

}  // namespace stac
