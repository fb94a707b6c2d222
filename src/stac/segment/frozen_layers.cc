#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/custom_function.h>

#include <vector>

#include "stac/segment/frozen_layers_internal.h"

namespace stac {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

bool ForwardOnly(const at::Tensor& x) { return !(at::GradMode::is_enabled() && x.requires_grad()); }

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
    auto& saved = context->saved_data;
    saved["stride"] = geometry.stride;
    saved["padding"] = geometry.padding;
    saved["dilation"] = geometry.dilation;
    saved["groups"] = geometry.groups;
    saved["weight"] = layer->weight.sizes();
    saved["x"] = x.sizes();
    // Passes over a map and its gradient are several times faster if both are laid out alike.
    saved["x_format"] = static_cast<int64_t>(x.suggest_memory_format());
    saved["y_format"] = static_cast<int64_t>(y.suggest_memory_format());
    return y;
  }

  static variable_list backward(AutogradContext* context, const variable_list& by_output) {
    auto& saved = context->saved_data;
    const auto pair = [&](const char* name) { return saved[name].to<std::array<int64_t, 2>>(); };
    const auto format = [&](const char* name) {
      return static_cast<at::MemoryFormat>(saved[name].toInt());
    };
    const ConvGeometry geometry{.stride = pair("stride"),
                                .padding = pair("padding"),
                                .dilation = pair("dilation"),
                                .groups = saved["groups"].toInt()};
    const at::Tensor kernel = context->get_saved_variables().front();
    const at::Tensor by_y = To(by_output.front(), kernel.scalar_type(), format("y_format"));
    const auto x_format = format("x_format");
    const at::Tensor by_x = GradientAtInput(by_y, kernel, saved["weight"].toIntVector(), geometry,
                                            saved["x"].toIntVector(), x_format);
    // Its layout first: both at once is ATen's slow way.
    return {by_x.contiguous(x_format).to(by_output.front().scalar_type()), {}};
  }
};

class PreluFunction : public torch::autograd::Function<PreluFunction> {
 public:
  // slopes: a pointer, so that autograd takes no notice of it.
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x,
                            const at::Tensor* slopes) {
    context->save_for_backward({x, *slopes});
    return at::prelu(x, *slopes);
  }

  static variable_list backward(AutogradContext* context, const variable_list& by_output) {
    const auto saved = context->get_saved_variables();
    const at::Tensor &x = saved[0], &slopes = saved[1];
    const at::Tensor by = by_output.front().contiguous(x.suggest_memory_format());
    std::vector<int64_t> shape(static_cast<size_t>(x.dim()), 1);
    if (x.dim() > 1) shape[1] = slopes.numel();
    const at::Tensor each = slopes.view(shape);
    const at::Tensor above = at::threshold_backward(by, x, 0);
    return {(by * each).addcmul_(above, 1 - each), {}};
  }
};

}  // namespace

at::Tensor FrozenConvolution::Run(const at::Tensor& x) const {
  if (x.dim() != 4 || ForwardOnly(x)) return Convolved(x, weight, bias, geometry);
  return ConvFunction::apply(x, this);
}

at::Tensor FrozenPrelu(const at::Tensor& x, const at::Tensor& slopes) {
  return ForwardOnly(x) ? at::prelu(x, slopes) : PreluFunction::apply(x, &slopes);
}

}  // namespace stac
