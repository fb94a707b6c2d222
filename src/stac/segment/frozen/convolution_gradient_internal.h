#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/ScalarType.h>

#include <array>
#include <cstdint>

// Convolutions and the fast way to the gradient at their input. For LibTorch code only; all of it
// may throw.

namespace stac {

// Height and width.
struct ConvGeometry {
  std::array<int64_t, 2> stride = {1, 1};
  std::array<int64_t, 2> padding = {0, 0};
  std::array<int64_t, 2> dilation = {1, 1};
  int64_t groups = 1;
};

// conv2d of x [N,C,H,W], or as fast as ATen without N; `bias` may be undefined. By oneDNN on a CPU
// in floats or bfloat16 numbers; not for autograd there.
at::Tensor Convolved(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                     const ConvGeometry& geometry);

// The kernel with which a convolution's gradient at its input is computed, of `weight`, [out,
// in / groups, h, w]. Where that pays the gradient is again a convolution, which libraries compute
// as fast as the one forward; their own backward ones are several times slower for dilated,
// depthwise and large thin kernels.
// - Stride 1: turned by 180 degrees, inputs and outputs exchanged.
// - With so few inputs that a library would compute unused channels beside them: one kernel for
// each
//   input and phase, a place in cells as large as the stride or a multiple of it; their outputs are
//   shuffled into place (Shi et al. 2016, arXiv 1609.07009).
// - Others: the weights as they are, for the library's own, or for DepthwiseGradient.
// The gradient is computed in numbers of `type`, whatever the layer answers in, unless it is one of
// few channels or grouped: such layers wait for memory, and changing the type there and back takes
// longer than is gained.
at::Tensor InputGradientKernel(const at::Tensor& weight, const ConvGeometry& geometry,
                               at::ScalarType type);

// The gradient at the input, of size `x`, by that at the output, in the numbers of `kernel`, which
// InputGradientKernel made of weights of size `weight`. The library's own lays it out as
// `x_format`; the others as they come.
at::Tensor GradientAtInput(const at::Tensor& by_output, const at::Tensor& kernel,
                           at::IntArrayRef weight, const ConvGeometry& geometry, at::IntArrayRef x,
                           at::MemoryFormat x_format);

// Whether each channel is convolved by itself.
bool IsDepthwise(at::IntArrayRef weight, const ConvGeometry& geometry);
// GradientAtInput of such a convolution, of plain maps (map_layout_internal.h), in one pass over
// the gradient that computes no zeros between strides; its channels lie side by side. weight: as it
// is.
at::Tensor DepthwiseGradient(const at::Tensor& by_output, const at::Tensor& weight,
                             const ConvGeometry& geometry, at::IntArrayRef x);

}  // namespace stac
