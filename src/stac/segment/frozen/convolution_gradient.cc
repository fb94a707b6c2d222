#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <optional>
#include <tuple>

#include "stac/base/wide_vectors.h"
#include "stac/segment/frozen/convolution_gradient_internal.h"
#include "stac/segment/frozen/map_layout_internal.h"

namespace stac {
namespace {

// Libraries compute this many channels at a time, needed or not.
constexpr int64_t kChannelsAtATime = 16;
// By what share larger cells must lower the multiplications, as shuffling costs time as well.
constexpr double kWorthShuffling = 0.7;
// Numbers half as long save so many multiplications' time for each of which the type changes on the
// way (oneDNN on a Zen 4: 10 and 5 ps a multiplication, 0.3 ns a change).
constexpr int64_t kWorthShorter = 60;

bool HasStride(const ConvGeometry& geometry) {
  return geometry.stride != std::array<int64_t, 2>{1, 1};
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
int64_t TurnedPadding(at::IntArrayRef weight, const ConvGeometry& geometry, int axis) {
  return geometry.dilation[axis] * (weight[2 + axis] - 1) - geometry.padding[axis];
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
  for (int axis = 0; axis < 2; ++axis)
    back.padding[axis] = TurnedPadding(kernel.sizes(), geometry, axis);
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

int64_t Spread(at::IntArrayRef weight, const ConvGeometry& geometry) {
  return (weight[2] - 1) * geometry.dilation[0] + 1;
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
std::optional<int64_t> CellOfPhases(at::IntArrayRef weight, const ConvGeometry& geometry) {
  const int64_t spread = Spread(weight, geometry);
  if (weight[2] != weight[3] || !Square(geometry.stride) || !Square(geometry.padding) ||
      !Square(geometry.dilation) || spread <= geometry.padding[0])
    return std::nullopt;
  const int64_t in = weight[1], stride = geometry.stride[0];
  // Gaps would have to be filled with zeros.
  if (!HasStride(geometry) && geometry.dilation[0] > 1) return std::nullopt;
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
  const int64_t spread = Spread(weight.sizes(), geometry);
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

// What phases are of: in each place of [N,in * cell * cell,h,w], the inputs of a cell. Those of the
// picture begin `extra` cells from the left upper corner.
struct Cells {
  int64_t cell;
  std::array<int64_t, 2> extra, size;  // size: height and width of the picture
};

at::Tensor InPlaceInSteps(at::Tensor phases, const Cells& cells) {
  for (int axis = 0; axis < 2; ++axis)
    phases = phases.narrow(2 + axis, cells.extra[axis],
                           (cells.size[axis] + cells.cell - 1) / cells.cell);
  return at::pixel_shuffle(phases, cells.cell)
      .narrow(2, 0, cells.size[0])
      .narrow(3, 0, cells.size[1]);
}

// Every `step`th number. Compilers know best what to do with the usual step.
STAC_WIDE_VECTORS
void TakeEvery(const float* from, int64_t step, int64_t count, float* __restrict to) {
  if (step == 4) {
    for (int64_t i = 0; i < count; ++i) to[i] = from[4 * i];
  } else {
    for (int64_t i = 0; i < count; ++i) to[i] = from[step * i];
  }
}

// The same of floats whose channels lie side by side, in one pass, laid out in that format.
at::Tensor InPlace(const at::Tensor& phases, const Cells& cells, at::MemoryFormat format) {
  const auto [height, width] = cells.size;
  const int64_t cell = cells.cell, all = phases.size(1), channels = all / (cell * cell);
  at::Tensor result =
      at::empty({phases.size(0), channels, height, width}, phases.options().memory_format(format));
  const bool together = format == at::MemoryFormat::ChannelsLast;
  const float* from = phases.data_ptr<float>();
  float* to = result.data_ptr<float>();
  at::parallel_for(0, phases.size(0) * height, 4, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const int64_t picture = row / height, y = row % height;
      const float* in =
          from + ((picture * phases.size(2) + cells.extra[0] + y / cell) * phases.size(3) +
                  cells.extra[1]) *
                     all;
      float* out = to + picture * channels * height * width + y * width * (together ? channels : 1);
      for (int64_t x = 0; x < width; ++x) {
        const float* of_place = in + x / cell * all + y % cell * cell + x % cell;
        if (together) {
          TakeEvery(of_place, cell * cell, channels, out + x * channels);
        } else {
          for (int64_t c = 0; c < channels; ++c)
            out[x + c * height * width] = of_place[c * cell * cell];
        }
      }
    }
  });
  return result;
}

// by_output: [N,out,h,w]; size: height and width of the input.
at::Tensor PhaseGradient(const at::Tensor& by_output, const at::Tensor& kernel, const Reach& reach,
                         int64_t groups, const std::array<int64_t, 2>& size,
                         at::MemoryFormat format) {
  const int64_t step = reach.outputs;
  ConvGeometry back{.stride = {step, step}, .groups = groups};
  Cells cells{.cell = reach.cell, .extra = {}, .size = size};
  for (int axis = 0; axis < 2; ++axis) {
    const int64_t count = (size[axis] + reach.cell - 1) / reach.cell;
    const int64_t missing =
        (count - 1) * step + reach.size() - 2 * reach.last - by_output.size(2 + axis);
    cells.extra[axis] = std::max<int64_t>(0, (missing + step - 1) / step);
    back.padding[axis] = reach.last + cells.extra[axis] * step;
  }
  const at::Tensor phases = Convolved(by_output, kernel, {}, back);
  return IsPlainMap(phases) && ChannelsSideBySide(phases) ? InPlace(phases, cells, format)
                                                          : InPlaceInSteps(phases, cells);
}

enum class Way { kLibrary, kTurned, kPhases };

Way WayBack(at::IntArrayRef weight, const ConvGeometry& geometry) {
  if (CellOfPhases(weight, geometry)) return Way::kPhases;
  if (HasStride(geometry)) return Way::kLibrary;
  for (int axis = 0; axis < 2; ++axis)
    if (TurnedPadding(weight, geometry, axis) < 0) return Way::kLibrary;
  return Way::kTurned;
}

bool ShorterPays(at::IntArrayRef weight, const ConvGeometry& geometry) {
  // For each place of the output.
  const int64_t multiplications = weight[0] * weight[1] * weight[2] * weight[3];
  const int64_t changed = weight[0] + weight[1] * geometry.stride[0] * geometry.stride[1];
  return geometry.groups == 1 && multiplications > kWorthShorter * changed;
}

}  // namespace

at::Tensor Convolved(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                     const ConvGeometry& geometry) {
  // ATen leaves oneDNN for a single image whose maps are small, and is several times slower.
  const bool for_onednn = x.dim() == 4 && x.device().is_cpu() && at::hasMKLDNN() &&
                          (x.scalar_type() == at::kFloat || x.scalar_type() == at::kBFloat16);
  if (!for_onednn)
    return at::conv2d(x, weight, bias, geometry.stride, geometry.padding, geometry.dilation,
                      geometry.groups);
  return at::mkldnn_convolution(x, weight, bias, geometry.padding, geometry.stride,
                                geometry.dilation, geometry.groups);
}

at::Tensor InputGradientKernel(const at::Tensor& weight, const ConvGeometry& geometry,
                               at::ScalarType type) {
  at::NoGradGuard no_gradient;
  const auto numbers = ShorterPays(weight.sizes(), geometry) ? type : weight.scalar_type();
  const auto laid_out = [&](const at::Tensor& kernel) {
    return kernel.to(numbers).contiguous(weight.suggest_memory_format());
  };
  switch (WayBack(weight.sizes(), geometry)) {
    case Way::kLibrary:
      break;
    case Way::kTurned:
      return laid_out(TurnedKernel(weight, geometry.groups));
    case Way::kPhases:
      return laid_out(PhaseKernel(weight, geometry, *CellOfPhases(weight.sizes(), geometry)));
  }
  return laid_out(weight);
}

at::Tensor GradientAtInput(const at::Tensor& by_output, const at::Tensor& kernel,
                           at::IntArrayRef weight, const ConvGeometry& geometry, at::IntArrayRef x,
                           at::MemoryFormat x_format) {
  switch (WayBack(weight, geometry)) {
    case Way::kLibrary:
      break;
    case Way::kTurned:
      return TurnedGradient(by_output, kernel, geometry);
    case Way::kPhases: {
      const Reach reach = ReachOf(*CellOfPhases(weight, geometry), Spread(weight, geometry),
                                  geometry.stride[0], geometry.padding[0]);
      return PhaseGradient(by_output, kernel, reach, geometry.groups, {x[2], x[3]}, x_format);
    }
  }
  const bool plain = IsPlainMap(by_output) && kernel.scalar_type() == at::kFloat;
  if (plain && IsDepthwise(weight, geometry) && x_format == at::MemoryFormat::ChannelsLast)
    return DepthwiseGradient(by_output, kernel, geometry, x);
  return LibraryGradient(by_output, kernel, geometry,
                         at::empty(x, by_output.options().memory_format(x_format)));
}

}  // namespace stac
