#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/csrc/autograd/saved_variable.h>

#include <string>
#include <utility>
#include <vector>

#include "stac/segment/frozen/history_internal.h"
#include "stac/segment/frozen/layers_internal.h"
#include "stac/segment/frozen/map_layout_internal.h"

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

class ConvolutionBack final : public torch::autograd::Node {
 public:
  ConvolutionBack(const FrozenConvolution& layer, const at::Tensor& x)
      : layer_(layer), x_size_(x.sizes().vec()), x_format_(FormatOf(x)) {}

  // The layer's answer, before it has a history.
  at::Tensor Answer(const at::Tensor& x) {
    at::Tensor y = Convolved(x, layer_.weight, layer_.bias, layer_.geometry);
    y_format_ = FormatOf(y);
    if (!layer_.relu) return y;
    if (IsPlainMap(y)) {
      passed_ = RectifyInPlace(y);
    } else {
      // Without its history, which will be this node.
      y_ = torch::autograd::SavedVariable(y.relu_().detach(), /*is_output=*/false);
    }
    return y;
  }

  variable_list apply(variable_list&& by_output) override {
    at::Tensor by = std::move(by_output.front());
    if (!by.defined()) return {at::Tensor()};
    const auto type = by.scalar_type();
    const at::NoGradGuard once;
    const at::Tensor by_x =
        GradientAtInput(AtConvolution(std::move(by)), layer_.gradient_kernel, layer_.weight.sizes(),
                        layer_.geometry, x_size_, x_format_);
    // Its layout first: both at once is ATen's slow way.
    return {LaidOut(by_x, x_format_).to(type)};
  }

  void release_variables() override {
    passed_.reset();
    y_.reset_data();
  }
  std::string name() const override { return "ConvolutionBack"; }

 private:
  // Passes over a map and its gradient are several times faster if both are laid out alike.
  at::Tensor AtConvolution(at::Tensor by) {
    by = LaidOut(by, y_format_);
    const auto type = layer_.gradient_kernel.scalar_type();
    if (passed_.defined()) return RectifiedGradient(by, passed_, type);
    if (!layer_.relu) return by.to(type);
    return at::threshold_backward(by, y_.unpack(), 0).to(type);
  }

  const FrozenConvolution layer_;
  const std::vector<int64_t> x_size_;
  const at::MemoryFormat x_format_;
  at::MemoryFormat y_format_ = at::MemoryFormat::Contiguous;
  // Of a ReLU, either.
  at::Tensor passed_;
  torch::autograd::SavedVariable y_;
};

at::Tensor Transposed(const at::Tensor& x, const FrozenTransposedConvolution& layer) {
  const FrozenConvolution& convolution = layer.turned_round;
  const ConvGeometry& geometry = convolution.geometry;
  const at::IntArrayRef weight = convolution.weight.sizes();
  TORCH_CHECK(x.size(1) == weight[0], "a transposed convolution of ", weight[0],
              " channels was given ", x.size(1));
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
  const bool forward_only = ForwardOnly(x);
  if (forward_only || x.dim() != 4) {
    at::Tensor y = Convolved(x, weight, bias, geometry);
    if (!relu) return y;
    return forward_only ? y.relu_() : y.relu();
  }
  return AnswerWithHistory<ConvolutionBack>(x, *this, x);
}

at::Tensor FrozenTransposedConvolution::Run(const at::Tensor& x) const {
  if (x.dim() != 4) {
    const auto& [stride, padding, dilation, groups] = turned_round.geometry;
    return at::conv_transpose2d(x, turned_round.weight, turned_round.bias, stride, padding,
                                output_padding, groups, dilation);
  }
  return ForwardOnly(x) ? Transposed(x, *this) : TransposedFunction::apply(x, this);
}

}  // namespace stac
