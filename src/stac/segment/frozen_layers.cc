#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/custom_function.h>

#include <vector>

#include "stac/segment/frozen_layers_internal.h"

namespace stac {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

void Save(const ConvGeometry& geometry, AutogradContext* context) {
  auto& saved = context->saved_data;
  saved["stride"] = geometry.stride;
  saved["padding"] = geometry.padding;
  saved["dilation"] = geometry.dilation;
  saved["groups"] = geometry.groups;
}

ConvGeometry SavedGeometry(AutogradContext* context) {
  auto& saved = context->saved_data;
  const auto pair = [&](const char* name) { return saved[name].to<std::array<int64_t, 2>>(); };
  return {.stride = pair("stride"),
          .padding = pair("padding"),
          .dilation = pair("dilation"),
          .groups = saved["groups"].toInt()};
}

at::Tensor To(const at::Tensor& x, at::ScalarType type, at::MemoryFormat format) {
  return x.to(type, /*non_blocking=*/false, /*copy=*/false, format);
}

class ConvFunction : public torch::autograd::Function<ConvFunction> {
 public:
  // layer: a pointer, so that autograd takes no notice of it.
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x,
                            const FrozenConvolution* layer) {
    const ConvGeometry& geometry = layer->geometry;
    const at::Tensor y = Convolved(x, layer->weight, layer->bias, geometry);
    context->save_for_backward({layer->gradient_kernel});
    Save(geometry, context);
    auto& saved = context->saved_data;
    saved["weight"] = layer->weight.sizes();
    saved["x"] = x.sizes();
    // Passes over a map and its gradient are several times faster if both are laid out alike.
    saved["x_format"] = static_cast<int64_t>(x.suggest_memory_format());
    saved["y_format"] = static_cast<int64_t>(y.suggest_memory_format());
    return y;
  }

  static variable_list backward(AutogradContext* context, const variable_list& by_output) {
    auto& saved = context->saved_data;
    const auto format = [&](const char* name) {
      return static_cast<at::MemoryFormat>(saved[name].toInt());
    };
    const ConvGeometry geometry = SavedGeometry(context);
    const at::Tensor kernel = context->get_saved_variables().front();
    const at::Tensor by_y = To(by_output.front(), kernel.scalar_type(), format("y_format"));
    const auto x_format = format("x_format");
    const at::Tensor by_x = GradientAtInput(by_y, kernel, saved["weight"].toIntVector(), geometry,
                                            saved["x"].toIntVector(), x_format);
    // Its layout first: both at once is ATen's slow way.
    return {by_x.contiguous(x_format).to(by_output.front().scalar_type()), {}};
  }
};

at::Tensor Transposed(const at::Tensor& x, const FrozenTransposedConvolution& layer) {
  const FrozenConvolution& convolution = layer.turned_round;
  const ConvGeometry& geometry = convolution.geometry;
  const at::IntArrayRef weight = convolution.weight.sizes();
  std::array<int64_t, 4> size = {x.size(0), weight[1] * geometry.groups, 0, 0};
  for (int axis = 0; axis < 2; ++axis)
    size[2 + axis] = (x.size(2 + axis) - 1) * geometry.stride[axis] - 2 * geometry.padding[axis] +
                     geometry.dilation[axis] * (weight[2 + axis] - 1) + 1 +
                     layer.output_padding[axis];
  at::Tensor y = GradientAtInput(x, convolution.gradient_kernel, weight, geometry, size,
                                 x.suggest_memory_format());
  if (convolution.bias.defined()) y = y + convolution.bias.view({1, -1, 1, 1});
  return y.detach();  // not a view, which must not be changed in place behind a layer of ours
}

// Of a convolution that is turned round: forward is its way back.
class TransposedFunction : public torch::autograd::Function<TransposedFunction> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x,
                            const FrozenTransposedConvolution* layer) {
    const FrozenConvolution& convolution = layer->turned_round;
    const ConvGeometry& geometry = convolution.geometry;
    context->save_for_backward({convolution.weight});
    Save(geometry, context);
    return Transposed(x, *layer);
  }

  static variable_list backward(AutogradContext* context, const variable_list& by_output) {
    return {Convolved(by_output.front(), context->get_saved_variables().front(), {},
                      SavedGeometry(context)),
            {}};
  }
};

}  // namespace

at::Tensor FrozenConvolution::Run(const at::Tensor& x) const {
  if (x.dim() != 4 || ForwardOnly(x)) return Convolved(x, weight, bias, geometry);
  return ConvFunction::apply(x, this);
}

at::Tensor FrozenTransposedConvolution::Run(const at::Tensor& x) const {
  if (x.dim() != 4) {
    const auto& [stride, padding, dilation, groups] = turned_round.geometry;
    return at::conv_transpose2d(x, turned_round.weight, turned_round.bias, stride, padding,
                                output_padding, groups, dilation);
  }
  return ForwardOnly(x) ? Transposed(x, *this) : TransposedFunction::apply(x, this);
}

bool ForwardOnly(const at::Tensor& x) { return !(at::GradMode::is_enabled() && x.requires_grad()); }

}  // namespace stac
