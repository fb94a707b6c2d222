#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <vector>

#include "stac/base/wide_vectors.h"
#include "stac/segment/frozen/convolution_gradient_internal.h"
#include "stac/segment/frozen/map_layout_internal.h"

namespace stac {
namespace {

// to[i] += from[i] * weight[i] for the channels of `places` places, so many floats apart.
STAC_WIDE_VECTORS
void AddProducts(const float* from, int64_t from_step, const float* weight, int64_t channels,
                 int64_t places, float* __restrict to, int64_t to_step) {
  for (int64_t place = 0; place < places; ++place)
    for (int64_t c = 0; c < channels; ++c)
      to[place * to_step + c] += from[place * from_step + c] * weight[c];
}

// Which outputs see inputs by the weight at `tap` of an axis: output i sees input first + i *
// stride, for i from `begin` to `end`.
struct Seen {
  int64_t first, begin, end;
};

Seen SeenBy(int64_t tap, const ConvGeometry& geometry, int axis, int64_t outputs, int64_t inputs) {
  const int64_t stride = geometry.stride[axis];
  const int64_t first = tap * geometry.dilation[axis] - geometry.padding[axis];
  const int64_t begin = first >= 0 ? 0 : (-first + stride - 1) / stride;
  const int64_t end = first >= inputs ? 0 : (inputs - first + stride - 1) / stride;
  return {first, begin, std::max(begin, std::min(outputs, end))};
}

}  // namespace

bool IsDepthwise(at::IntArrayRef weight, const ConvGeometry& geometry) {
  return weight[1] == 1 && weight[0] == geometry.groups && geometry.groups > 1;
}

at::Tensor DepthwiseGradient(const at::Tensor& by_output, const at::Tensor& weight,
                             const ConvGeometry& geometry, at::IntArrayRef x) {
  TORCH_CHECK(by_output.size(0) == x[0] && by_output.size(1) == x[1],
              "a depthwise convolution was given other channels than it has");
  const int64_t channels = x[1], height = x[2], width = x[3];
  const int64_t rows = by_output.size(2), columns = by_output.size(3);
  const at::Tensor by = LaidOut(by_output, at::MemoryFormat::ChannelsLast);
  const at::Tensor of_taps = weight.permute({2, 3, 0, 1}).contiguous();
  const auto together = by.options().memory_format(at::MemoryFormat::ChannelsLast);
  at::Tensor result = at::empty(x, together).zero_();
  const float *from = by.data_ptr<float>(), *taps = of_taps.data_ptr<float>();
  float* to = result.data_ptr<float>();
  at::parallel_for(0, x[0] * height, 4, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const int64_t picture = row / height, y = row % height;
      for (int64_t i = 0; i < weight.size(2); ++i) {
        const Seen down = SeenBy(i, geometry, 0, rows, height);
        const int64_t distance = y - down.first, output = distance / geometry.stride[0];
        if (distance % geometry.stride[0] != 0 || output < down.begin || output >= down.end)
          continue;
        const float* in = from + (picture * rows + output) * columns * channels;
        for (int64_t j = 0; j < weight.size(3); ++j) {
          const Seen along = SeenBy(j, geometry, 1, columns, width);
          const int64_t step = geometry.stride[1];
          AddProducts(in + along.begin * channels, channels,
                      taps + (i * weight.size(3) + j) * channels, channels, along.end - along.begin,
                      to + (row * width + along.first + along.begin * step) * channels,
                      step * channels);
        }
      }
    }
  });
  return result;
}

}  // namespace stac
