#include <ATen/ATen.h>
#include <torch/library.h>

#include <algorithm>
#include <array>
#include <vector>

#include "stac/segment/frozen_layers_internal.h"
#include "stac/segment/torch_script_internal.h"

namespace stac {
namespace {

// c10's in LibTorch 1.13, the standard's in later ones.
using OptionalTensor = decltype(c10::IValue().toOptional<at::Tensor>());

at::Tensor OrUndefined(const OptionalTensor& tensor) { return tensor.value_or(at::Tensor()); }

// Height and width of what may be one number for both.
std::array<int64_t, 2> Pair(at::IntArrayRef numbers) { return {numbers.front(), numbers.back()}; }

at::Tensor Convolution(const at::Tensor& x, const at::Tensor& weight, const OptionalTensor& bias,
                       const at::Tensor& gradient_kernel, at::IntArrayRef stride,
                       at::IntArrayRef padding, at::IntArrayRef dilation, int64_t groups) {
  const FrozenConvolution layer{.weight = weight,
                                .bias = OrUndefined(bias),
                                .gradient_kernel = gradient_kernel,
                                .geometry = {Pair(stride), Pair(padding), Pair(dilation), groups}};
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

// cat whose result has its channels side by side if one of `maps` has: ATen gives up that layout,
// with which everything behind is faster, for a single map that is laid out otherwise.
at::Tensor Joined(at::TensorList maps, int64_t axis) {
  constexpr auto kSideBySide = at::MemoryFormat::ChannelsLast;
  const bool wanted = std::any_of(maps.begin(), maps.end(), [](const at::Tensor& map) {
    return map.dim() == 4 && map.suggest_memory_format() == kSideBySide;
  });
  if (!wanted) return at::cat(maps, axis);
  std::vector<at::Tensor> alike;
  for (const at::Tensor& map : maps)
    alike.push_back(map.dim() == 4 ? map.contiguous(kSideBySide) : map);
  return at::cat(alike, axis);
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
        "int[] padding, int[] dilation, int groups) -> Tensor",
        &Convolution);
    stac.def(
        "transposed_convolution(Tensor x, Tensor weight, Tensor? bias, Tensor gradient_kernel, "
        "int[] stride, int[] padding, int[] dilation, int groups, int[] output_padding) -> Tensor",
        &TransposedConvolution);
    stac.def("activation(Tensor x, Tensor? scale, Tensor? shift, Tensor? slopes) -> Tensor",
             &Activation);
    stac.def("joined(Tensor[] maps, int axis) -> Tensor", &Joined);
    stac.def("first_ones(Tensor(a) x, int axis, int end) -> Tensor(a)", &FirstOnes);
    return stac;
  }();
}

}  // namespace stac
