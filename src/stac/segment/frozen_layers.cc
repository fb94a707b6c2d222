#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <optional>
#include <tuple>
#include <vector>

#include "stac/segment/frozen_layers_internal.h"

namespace stac {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Libraries compute this many channels at a time, needed or not.
constexpr int64_t kChannelsAtATime = 16;
// By what share larger cells must lower the multiplications, as shuffling costs time as well.
constexpr double kWorthShuffling = 0.7;

bool HasStride(const ConvGeometry& geometry) {
  return geometry.stride != std::array<int64_t, 2>{1, 1};
}

at::Tensor To(const at::Tensor& x, at::ScalarType type, at::MemoryFormat format) {
  return x.to(type, /*non_blocking=*/false, /*copy=*/false, format);
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

// ---- By phases ----

// A cell: cell x cell inputs, computed as so many channels of one place. Which outputs see those
// from cell * m on: from outputs * m - last to outputs * m - first.
struct Reach {
  int64_t cell, outputs, first, last;
  int64_t size() const { return last - first + 1; }
};

// `spread`: the width of a kernel with its gaps.
Reach ReachOf(int64_t cell, int64_t spread, int64_t stride, int64_t padding) {
  return {cell, cell / stride, -((cell - 1 + padding) / stride), (spread - 1 - padding) / stride};
}

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

// Multiplications for each input, of a library that fills its channels up.
double PhaseCost(int64_t in, const Reach& reach) {
  const int64_t phases = in * reach.cell * reach.cell;
  const int64_t computed = (phases + kChannelsAtATime - 1) / kChannelsAtATime * kChannelsAtATime;
  return static_cast<double>(computed * reach.size() * reach.size()) /
         static_cast<double>(reach.cell * reach.cell);
}

// The size of cells with which phases pay, if they do.
std::optional<int64_t> CellOfPhases(const at::Tensor& weight, const ConvGeometry& geometry) {
  const int64_t spread = Spread(weight, geometry);
  if (weight.size(2) != weight.size(3) || !Square(geometry.stride) || !Square(geometry.padding) ||
      !Square(geometry.dilation) || spread <= geometry.padding[0])
    return std::nullopt;
  const int64_t in = weight.size(1), stride = geometry.stride[0];
  const bool depthwise = in == 1 && weight.size(0) == geometry.groups;
  if (depthwise && geometry.groups > 1) {
    const bool library_is_slow = HasStride(geometry) && geometry.dilation[0] > 1;
    return library_is_slow ? std::optional(stride) : std::nullopt;
  }
  if (geometry.groups > 1 || in * stride * stride > kChannelsAtATime) return std::nullopt;
  const auto cost = [&](int64_t cell) {
    return PhaseCost(in, ReachOf(cell, spread, stride, geometry.padding[0]));
  };
  int64_t best = stride;
  for (const int64_t cell : {2 * stride, 4 * stride})
    if (cost(cell) < kWorthShuffling * cost(best)) best = cell;
  if (best == 1) return std::nullopt;
  return best;
}

// [in * cell * cell, out / groups, n, n].
at::Tensor PhaseKernel(const at::Tensor& weight, const ConvGeometry& geometry, int64_t cell) {
  const int64_t stride = geometry.stride[0], padding = geometry.padding[0];
  const int64_t in = weight.size(1), groups = geometry.groups, out = weight.size(0) / groups;
  const int64_t spread = Spread(weight, geometry);
  const Reach reach = ReachOf(cell, spread, stride, padding);
  const int64_t n = reach.size();
  const int64_t before = -reach.first * stride - padding;
  const int64_t after = (n - 1) * stride + cell - spread - before;
  return at::constant_pad_nd(WithoutGaps(weight, geometry.dilation[0]),
                             {before, after, before, after})
      .unfold(2, cell, stride)
      .unfold(3, cell, stride)
      .reshape({groups, out, in, n, n, cell, cell})
      .flip({3, 4})
      .permute({0, 2, 5, 6, 1, 3, 4})
      .reshape({groups * in * cell * cell, out, n, n});
}

// by_output: [N,out,h,w]; size: height and width of the input.
at::Tensor PhaseGradient(const at::Tensor& by_output, const at::Tensor& kernel, const Reach& reach,
                         int64_t groups, const std::array<int64_t, 2>& size) {
  const int64_t step = reach.outputs;
  ConvGeometry back{.stride = {step, step}, .groups = groups};
  std::array<int64_t, 2> cells{}, extra{};  // extra: computed in front and not needed
  for (int axis = 0; axis < 2; ++axis) {
    cells[axis] = (size[axis] + reach.cell - 1) / reach.cell;
    const int64_t missing =
        (cells[axis] - 1) * step + reach.size() - 2 * reach.last - by_output.size(2 + axis);
    extra[axis] = std::max<int64_t>(0, (missing + step - 1) / step);
    back.padding[axis] = reach.last + extra[axis] * step;
  }
  auto phases = Convolved(by_output, kernel, {}, back);
  for (int axis = 0; axis < 2; ++axis) phases = phases.narrow(2 + axis, extra[axis], cells[axis]);
  return at::pixel_shuffle(phases, reach.cell).narrow(2, 0, size[0]).narrow(3, 0, size[1]);
}

// ---- Autograd ----

enum class WayBack { kLibrary, kTurned, kPhases };

WayBack WayBackOf(const at::Tensor& weight, const ConvGeometry& geometry) {
  if (CellOfPhases(weight, geometry)) return WayBack::kPhases;
  if (HasStride(geometry)) return WayBack::kLibrary;
  for (int axis = 0; axis < 2; ++axis)
    if (TurnedPadding(weight, geometry, axis) < 0) return WayBack::kLibrary;
  return WayBack::kTurned;
}

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
    context->save_for_backward({parts.gradient_kernel});
    auto& saved = context->saved_data;
    saved["way"] = static_cast<int64_t>(WayBackOf(parts.weight, geometry));
    saved["stride"] = geometry.stride;
    saved["padding"] = geometry.padding;
    saved["dilation"] = geometry.dilation;
    saved["groups"] = geometry.groups;
    saved["spread"] = Spread(parts.weight, geometry);
    saved["cell"] = CellOfPhases(parts.weight, geometry).value_or(0);
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
    const at::Tensor kernel = context->get_saved_variables().front();
    const at::Tensor by = To(by_output.front(), kernel.scalar_type(), format("y_format"));
    const std::vector<int64_t> size = saved["x_size"].toIntVector();
    at::Tensor by_x;
    switch (static_cast<WayBack>(saved["way"].toInt())) {
      case WayBack::kLibrary:
        by_x = LibraryGradient(by, kernel, geometry,
                               at::empty(size, by.options().memory_format(format("x_format"))));
        break;
      case WayBack::kTurned:
        by_x = TurnedGradient(by, kernel, geometry);
        break;
      case WayBack::kPhases:
        by_x = PhaseGradient(by, kernel,
                             ReachOf(saved["cell"].toInt(), saved["spread"].toInt(),
                                     geometry.stride[0], geometry.padding[0]),
                             geometry.groups, {size[2], size[3]});
        break;
    }
    return {To(by_x, by_output.front().scalar_type(), format("x_format")), {}};
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

at::Tensor InputGradientKernel(const at::Tensor& weight, const ConvGeometry& geometry,
                               at::ScalarType type) {
  at::NoGradGuard no_gradient;
  const auto format = weight.suggest_memory_format();
  const auto numbers = geometry.groups == 1 ? type : weight.scalar_type();
  const auto laid_out = [&](const at::Tensor& kernel) { return To(kernel, numbers, format); };
  switch (WayBackOf(weight, geometry)) {
    case WayBack::kLibrary:
      return laid_out(weight);
    case WayBack::kTurned:
      return laid_out(TurnedKernel(weight, geometry.groups));
    case WayBack::kPhases:
      return laid_out(PhaseKernel(weight, geometry, *CellOfPhases(weight, geometry)));
  }
  return {};
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
