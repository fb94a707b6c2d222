#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <tuple>
#include <vector>

#include "stac/segment/frozen_layers_internal.h"

namespace stac {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Libraries compute this many channels at a time, needed or not.
constexpr int64_t kChannelsAtATime = 16;

bool HasStride(const ConvGeometry& geometry) {
  return geometry.stride != std::array<int64_t, 2>{1, 1};
}

bool ForwardOnly(const at::Tensor& x) { return !(at::GradMode::is_enabled() && x.requires_grad()); }

// ATen leaves oneDNN for a single image whose maps are small, and is several times slower.
bool ForOneDnn(const at::Tensor& x) {
  return x.device().is_cpu() && at::hasMKLDNN() &&
         (x.scalar_type() == at::kFloat || x.scalar_type() == at::kBFloat16);
}

at::Tensor ByAten(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                  const ConvGeometry& geometry) {
  return at::conv2d(x, weight, bias, geometry.stride, geometry.padding, geometry.dilation,
                    geometry.groups);
}

// Not for autograd.
at::Tensor Convolved(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                     const ConvGeometry& geometry) {
  if (!ForOneDnn(x)) return ByAten(x, weight, bias, geometry);
  return at::mkldnn_convolution(x, weight, bias, geometry.padding, geometry.stride,
                                geometry.dilation, geometry.groups);
}

// What a library makes of it, which looks at nothing of x but its shape.
at::Tensor LibraryGradient(const at::Tensor& by_output, const at::Tensor& weight,
                           const ConvGeometry& geometry, const at::Tensor& like_x) {
  return std::get<0>(at::convolution_backward(
      by_output, like_x, weight, at::IntArrayRef{weight.size(0)}, geometry.stride, geometry.padding,
      geometry.dilation, /*transposed=*/false, at::IntArrayRef{0, 0}, geometry.groups,
      {true, false, false}));
}

// ---- Stride 1 ----

// How far the turned kernel reaches beyond the output, in one direction.
int64_t TurnedPadding(const at::Tensor& weight, const ConvGeometry& geometry, int axis) {
  return geometry.dilation[axis] * (weight.size(2 + axis) - 1) - geometry.padding[axis];
}

at::Tensor TurnedKernel(const at::Tensor& weight, int64_t groups) {
  const int64_t out = weight.size(0) / groups, in = weight.size(1);
  const int64_t height = weight.size(2), width = weight.size(3);
  return weight.flip({2, 3})
      .reshape({groups, out, in, height, width})
      .transpose(1, 2)
      .reshape({groups * in, out, height, width});
}

at::Tensor TurnedGradient(const at::Tensor& by_output, const at::Tensor& kernel,
                          const ConvGeometry& geometry) {
  ConvGeometry back = geometry;
  for (int axis = 0; axis < 2; ++axis) back.padding[axis] = TurnedPadding(kernel, geometry, axis);
  return Convolved(by_output, kernel, {}, back);
}

// ---- Strided ----

// Which outputs see the inputs stride * m ... stride * m + stride - 1: those from m - last to
// m - first.
struct Reach {
  int64_t first, last;
  int64_t size() const { return last - first + 1; }
};

Reach ReachOf(int64_t spread, int64_t stride, int64_t padding) {
  return {-((stride - 1 + padding) / stride), (spread - 1 - padding) / stride};
}

// The width of a kernel with its gaps.
int64_t Spread(const at::Tensor& weight, const ConvGeometry& geometry) {
  return (weight.size(2) - 1) * geometry.dilation[0] + 1;
}

// The kernel with zeros in its gaps.
at::Tensor WithoutGaps(const at::Tensor& weight, int64_t dilation) {
  const auto size = [&](int axis) { return (weight.size(axis) - 1) * dilation + 1; };
  const auto filled =
      at::zeros({weight.size(0), weight.size(1), size(2), size(3)}, weight.options());
  filled.slice(2, 0, size(2), dilation).slice(3, 0, size(3), dilation).copy_(weight);
  return filled;
}

bool Square(const std::array<int64_t, 2>& pair) { return pair[0] == pair[1]; }

bool TakesPhases(const at::Tensor& weight, const ConvGeometry& geometry) {
  const bool depthwise = weight.size(1) == 1 && weight.size(0) == geometry.groups;
  const bool gaps = geometry.dilation[0] > 1;
  const bool thin = geometry.groups == 1 &&
                    weight.size(1) * geometry.stride[0] * geometry.stride[0] <= kChannelsAtATime;
  return ((depthwise && gaps) || thin) && weight.size(2) == weight.size(3) &&
         Square(geometry.stride) && Square(geometry.padding) && Square(geometry.dilation) &&
         Spread(weight, geometry) > geometry.padding[0];
}

// [in * stride * stride, out / groups, n, n].
at::Tensor PhaseKernel(const at::Tensor& weight, const ConvGeometry& geometry) {
  const int64_t stride = geometry.stride[0], padding = geometry.padding[0];
  const int64_t in = weight.size(1), groups = geometry.groups, out = weight.size(0) / groups;
  const int64_t spread = Spread(weight, geometry);
  const Reach reach = ReachOf(spread, stride, padding);
  const int64_t n = reach.size();
  const int64_t before = -reach.first * stride - padding;
  const int64_t after = n * stride - spread - before;
  return at::constant_pad_nd(WithoutGaps(weight, geometry.dilation[0]),
                             {before, after, before, after})
      .reshape({groups, out, in, n, stride, n, stride})
      .flip({3, 5})
      .permute({0, 2, 4, 6, 1, 3, 5})
      .reshape({groups * in * stride * stride, out, n, n});
}

// by_output: [N,out,h,w]; size: height and width of the input.
at::Tensor PhaseGradient(const at::Tensor& by_output, const at::Tensor& kernel, int64_t spread,
                         const ConvGeometry& geometry, const std::array<int64_t, 2>& size) {
  const int64_t stride = geometry.stride[0];
  const Reach reach = ReachOf(spread, stride, geometry.padding[0]);
  ConvGeometry back{.groups = geometry.groups};
  std::array<int64_t, 2> cells{};
  for (int axis = 0; axis < 2; ++axis) {
    cells[axis] = (size[axis] + stride - 1) / stride;
    back.padding[axis] = std::max(reach.last, cells[axis] - by_output.size(2 + axis) - reach.first);
  }
  auto phases = Convolved(by_output, kernel, {}, back);
  for (int axis = 0; axis < 2; ++axis)
    phases = phases.narrow(2 + axis, back.padding[axis] - reach.last, cells[axis]);
  return at::pixel_shuffle(phases, stride).narrow(2, 0, size[0]).narrow(3, 0, size[1]);
}

// ---- Autograd ----

// By reference, so that autograd takes no notice of them.
struct ConvParts {
  const at::Tensor &weight, &bias, &gradient_kernel;
  const ConvGeometry& geometry;
};

class ConvFunction : public torch::autograd::Function<ConvFunction> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const ConvParts& parts) {
    const ConvGeometry& geometry = parts.geometry;
    const at::Tensor y = Convolved(x, parts.weight, parts.bias, geometry);
    const bool own_way = parts.gradient_kernel.defined();
    context->save_for_backward({own_way ? parts.gradient_kernel : parts.weight});
    auto& saved = context->saved_data;
    saved["own_way"] = own_way;
    saved["stride"] = geometry.stride;
    saved["padding"] = geometry.padding;
    saved["dilation"] = geometry.dilation;
    saved["groups"] = geometry.groups;
    saved["spread"] = Spread(parts.weight, geometry);
    saved["x_size"] = x.sizes();
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
    const at::Tensor by = by_output.front().contiguous(format("y_format"));
    const at::Tensor kernel = context->get_saved_variables().front();
    const std::vector<int64_t> size = saved["x_size"].toIntVector();
    at::Tensor by_x;
    if (!saved["own_way"].toBool()) {
      by_x = LibraryGradient(by, kernel, geometry,
                             at::empty(size, by.options().memory_format(format("x_format"))));
    } else if (HasStride(geometry)) {
      by_x = PhaseGradient(by, kernel, saved["spread"].toInt(), geometry, {size[2], size[3]});
    } else {
      by_x = TurnedGradient(by, kernel, geometry);
    }
    return {by_x.contiguous(format("x_format")), {}};
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

at::Tensor InputGradientKernel(const at::Tensor& weight, const ConvGeometry& geometry) {
  at::NoGradGuard no_gradient;
  const auto format = weight.suggest_memory_format();
  if (HasStride(geometry)) {
    if (!TakesPhases(weight, geometry)) return {};
    return PhaseKernel(weight, geometry).contiguous(format);
  }
  for (int axis = 0; axis < 2; ++axis)
    if (TurnedPadding(weight, geometry, axis) < 0) return {};
  return TurnedKernel(weight, geometry.groups).contiguous(format);
}

at::Tensor FrozenConvolution(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                             const at::Tensor& gradient_kernel, const ConvGeometry& geometry) {
  if (x.dim() != 4) return ByAten(x, weight, bias, geometry);  // one picture without a batch
  if (ForwardOnly(x)) return Convolved(x, weight, bias, geometry);
  return ConvFunction::apply(x, ConvParts{weight, bias, gradient_kernel, geometry});
}

at::Tensor FrozenPrelu(const at::Tensor& x, const at::Tensor& slopes) {
  return ForwardOnly(x) ? at::prelu(x, slopes) : PreluFunction::apply(x, &slopes);
}

}  // namespace stac
