#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/ScalarType.h>

#include <array>
#include <cstdint>

// Layers whose weights nobody trains. They answer as ATen's do, and on the way back give the
// gradient at their input and nothing else. For LibTorch code only; all of them may throw.

namespace stac {

// Height and width.
struct ConvGeometry {
  std::array<int64_t, 2> stride = {1, 1};
  std::array<int64_t, 2> padding = {0, 0};
  std::array<int64_t, 2> dilation = {1, 1};
  int64_t groups = 1;
};

// The kernel with which a convolution's gradient at its input is computed, of `weight`, [out,
// in / groups, h, w]. Where that pays the gradient is again a convolution, which libraries compute
// as fast as the one forward; their own backward ones are several times slower for dilated,
// depthwise and large thin kernels.
// - Stride 1: turned by 180 degrees, inputs and outputs exchanged.
// - With so few inputs that a library would compute unused channels beside them, or strided,
//   depthwise and dilated: one kernel for each input and phase, a place in cells as large as the
//   stride or a multiple of it; their outputs are shuffled into place (Shi et al. 2016, arXiv
//   1609.07009).
// - Others: the weights as they are, for the library's own.
// The gradient is computed in numbers of `type`, whatever the layer answers in, unless the layer is
// grouped: such layers wait for memory and gain nothing by shorter numbers.
at::Tensor InputGradientKernel(const at::Tensor& weight, const ConvGeometry& geometry,
                               at::ScalarType type);

// conv2d of x [N,C,H,W] (as fast as ATen without N). `bias` may be undefined; `gradient_kernel` is
// what InputGradientKernel made of `weight`. Keeps neither its input nor its output for the way
// back.
at::Tensor FrozenConvolution(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                             const at::Tensor& gradient_kernel, const ConvGeometry& geometry);

// prelu of x [N,C,...] with C slopes or one. ATen's way back also computes the slopes' gradient,
// which takes most of its time.
at::Tensor FrozenPrelu(const at::Tensor& x, const at::Tensor& slopes);

}  // namespace stac
