#include <ATen/ATen.h>
#include <torch/library.h>

#include <array>
#include <vector>

#include "stac/segment/frozen/layers_internal.h"
#include "stac/segment/torch_script_internal.h"

namespace stac {
namespace {

// c10's in LibTorch 1.13, the standard's in later ones.
using OptionalTensor = decltype(c10::IValue().toOptional<at::Tensor>());

at::Tensor OrUndefined(const OptionalTensor& tensor) { return tensor.value_or(at::Tensor()); }

at::Tensor Convolution(const at::Tensor& x, const at::Tensor& weight, const OptionalTensor& bias,
                       const at::Tensor& gradient_kernel, at::IntArrayRef stride,
                       at::IntArrayRef padding, at::IntArrayRef dilation, int64_t groups,
                       bool relu) {
  const FrozenConvolution layer{.weight = weight,
                                .bias = OrUndefined(bias),
                                .gradient_kernel = gradient_kernel,
                                .geometry = {Pair(stride), Pair(padding), Pair(dilation), groups},
                                .relu = relu};
  return layer.Run(x);
}

at::Tensor TransposedConvolution(const at::Tensor& x, const at::Tensor& weight,
                                 const OptionalTensor& bias, const at::Tensor& gradient_kernel,
                                 at::IntArrayRef stride, at::IntArrayRef padding,
                                 at::IntArrayRef dilation, int64_t groups,
                                 at::IntArrayRef output_padding) {
  const FrozenTransposedConvolution layer{
      .turned_round = {.weight = weight,
                       .bias = OrUndefined(bias),
                       .gradient_kernel = gradient_kernel,
                       .geometry = {Pair(stride), Pair(padding), Pair(dilation), groups}},
      .output_padding = Pair(output_padding)};
  return layer.Run(x);
}

at::Tensor Activation(const at::Tensor& x, const OptionalTensor& scale, const OptionalTensor& shift,
                      const OptionalTensor& slopes) {
  const FrozenActivation layer{
      .scale = OrUndefined(scale), .shift = OrUndefined(shift), .slopes = OrUndefined(slopes)};
  return layer.Run(x);
}

at::Tensor Join(at::TensorList maps, int64_t axis) { return Joined(maps.vec(), axis); }

std::vector<at::Tensor> Copy(const at::Tensor& x, int64_t count) { return Copies(x, count); }

// x.view(parts).transpose(1, 2).reshape(whole), which shuffles channels, or else what it does.
at::Tensor Shuffle(const at::Tensor& x, at::IntArrayRef parts, at::IntArrayRef whole) {
  const bool channels = x.dim() == 4 && parts.size() == 5 && parts[1] > 0 && x.sizes() == whole &&
                        x.size(1) == parts[1] * parts[2] && x.size(0) == parts[0] &&
                        x.size(2) == parts[3] && x.size(3) == parts[4];
  return channels ? Shuffled(x, parts[1]) : x.view(parts).transpose(1, 2).reshape(whole);
}

at::Tensor Average(const at::Tensor& x, at::IntArrayRef kernel, at::IntArrayRef stride,
                   at::IntArrayRef padding, bool count_padding) {
  return AveragePooling{Pair(kernel), Pair(stride.empty() ? kernel : stride), Pair(padding),
                        count_padding}
      .Run(x);
}

at::Tensor AverageTo(const at::Tensor& x, at::IntArrayRef size) {
  return AveragedTo(x, {size.front(), size.back()});
}

at::Tensor Enlarge(const at::Tensor& x, at::IntArrayRef size, bool align_corners) {
  return EnlargedTo(x, {{size.front(), size.back()}, align_corners});
}

// A slice; even one of everything would cost the backward pass a copy.
at::Tensor FirstOnes(const at::Tensor& x, int64_t axis, int64_t end) {
  return end >= x.size(axis) ? x : x.slice(axis, 0, end);
}

}  // namespace

void DefineOperations() {
  static torch::Library library = [] {
    // Not TORCH_LIBRARY, which the linker leaves out of a program that names nothing else here.
    torch::Library stac(torch::Library::DEF, "stac", {}, __FILE__, __LINE__);
    stac.def(
        "convolution(Tensor x, Tensor weight, Tensor? bias, Tensor gradient_kernel, int[] stride, "
        "int[] padding, int[] dilation, int groups, bool relu) -> Tensor",
        &Convolution);
    stac.def(
        "transposed_convolution(Tensor x, Tensor weight, Tensor? bias, Tensor gradient_kernel, "
        "int[] stride, int[] padding, int[] dilation, int groups, int[] output_padding) -> Tensor",
        &TransposedConvolution);
    stac.def("activation(Tensor x, Tensor? scale, Tensor? shift, Tensor? slopes) -> Tensor",
             &Activation);
    stac.def("joined(Tensor[] maps, int axis) -> Tensor", &Join);
    stac.def("copies(Tensor(a) x, int count) -> Tensor(a)[]", &Copy);
    stac.def("shuffled(Tensor(a) x, int[] parts, int[] whole) -> Tensor(a)", &Shuffle);
    stac.def(
        "average(Tensor x, int[] kernel, int[] stride, int[] padding, bool count_padding) -> "
        "Tensor",
        &Average);
    stac.def("averaged_to(Tensor x, int[] size) -> Tensor", &AverageTo);
    stac.def("enlarged_to(Tensor x, int[] size, bool align_corners) -> Tensor", &Enlarge);
    stac.def("first_ones(Tensor(a) x, int axis, int end) -> Tensor(a)", &FirstOnes);
    return stac;
  }();
}

}  // namespace stac
