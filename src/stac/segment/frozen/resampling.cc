#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "stac/base/wide_vectors.h"
#include "stac/segment/frozen/history_internal.h"
#include "stac/segment/frozen/layers_internal.h"
#include "stac/segment/frozen/map_layout_internal.h"

namespace stac {
namespace {

using torch::autograd::variable_list;

// ---- Along one axis ----

// Each of some outputs is a weighted sum of neighbouring inputs: of output i those from first[i]
// on, with the weights from start[i] to start[i + 1]. Neither end of what outputs see goes
// backwards.
struct Axis {
  int64_t inputs = 0;
  std::vector<int64_t> first, start = {0};
  std::vector<float> weight;

  explicit Axis(int64_t from) : inputs(from) {}
  int64_t outputs() const { return static_cast<int64_t>(first.size()); }
  void Add(int64_t first_input, const std::vector<float>& weights) {
    first.push_back(first_input);
    weight.insert(weight.end(), weights.begin(), weights.end());
    start.push_back(static_cast<int64_t>(weight.size()));
  }
};

// The way back: which outputs saw each input.
Axis Transposed(const Axis& axis) {
  std::vector<std::vector<float>> weights(axis.inputs);
  std::vector<int64_t> first(axis.inputs, 0);
  for (int64_t i = 0; i < axis.outputs(); ++i) {
    for (int64_t k = axis.start[i]; k < axis.start[i + 1]; ++k) {
      const int64_t input = axis.first[i] + k - axis.start[i];
      if (weights[input].empty()) first[input] = i;
      weights[input].push_back(axis.weight[k]);
    }
  }
  Axis back(axis.outputs());
  for (int64_t i = 0; i < axis.inputs; ++i) back.Add(first[i], weights[i]);
  return back;
}

Axis PoolingAxis(int64_t inputs, const AveragePooling& pooling, int axis) {
  const int64_t kernel = pooling.kernel[axis], padding = pooling.padding[axis];
  const int64_t outputs = (inputs + 2 * padding - kernel) / pooling.stride[axis] + 1;
  Axis result(inputs);
  for (int64_t i = 0; i < outputs; ++i) {
    const int64_t begin = i * pooling.stride[axis] - padding;
    const int64_t first = std::max<int64_t>(0, begin), end = std::min(inputs, begin + kernel);
    const int64_t divisor = pooling.count_padding ? kernel : end - first;
    result.Add(first, std::vector<float>(end - first, 1.0f / static_cast<float>(divisor)));
  }
  return result;
}

Axis AveragingAxis(int64_t inputs, int64_t outputs) {
  Axis result(inputs);
  for (int64_t i = 0; i < outputs; ++i) {
    const int64_t first = i * inputs / outputs;
    const int64_t count = ((i + 1) * inputs + outputs - 1) / outputs - first;
    result.Add(first, std::vector<float>(count, 1.0f / static_cast<float>(count)));
  }
  return result;
}

Axis EnlargingAxis(int64_t inputs, int64_t outputs, bool align_corners) {
  Axis result(inputs);
  for (int64_t i = 0; i < outputs; ++i) {
    const Place place = PlaceOf(i, inputs, outputs, align_corners);
    if (place.cell < 0)
      result.Add(0, {1});
    else if (place.cell + 1 >= inputs)
      result.Add(inputs - 1, {1});
    else
      result.Add(place.cell, {1 - place.share, place.share});
  }
  return result;
}

// ---- Along both ----

struct Resampling {
  Axis rows, columns;
};

template <int kWidth>
struct Floats {
  typedef float Type __attribute__((vector_size(kWidth * sizeof(float))));
};

// Puts a sum of so many weighted inputs, `step` apart, to kWidth values side by side.
template <int kWidth>
[[gnu::always_inline]] inline void SumSome(const float* first, int64_t step, const float* weight,
                                           int64_t inputs, float* to) {
  typename Floats<kWidth>::Type sum{};
  for (int64_t k = 0; k < inputs; ++k) {
    typename Floats<kWidth>::Type input;
    std::memcpy(&input, first + k * step, sizeof(input));
    sum += input * weight[k];
  }
  std::memcpy(to, &sum, sizeof(sum));
}

// The same to `count` values. The last ones are computed together with some of those before them,
// again, rather than one by one: many maps have few channels.
template <int kWidth>
[[gnu::always_inline]] inline void SumWide(const float* first, int64_t step, const float* weight,
                                           int64_t inputs, int64_t count, float* to) {
  int64_t i = 0;
  for (; i + kWidth <= count; i += kWidth) SumSome<kWidth>(first + i, step, weight, inputs, to + i);
  if (i == count) return;
  i = count - kWidth;
  SumSome<kWidth>(first + i, step, weight, inputs, to + i);
}

[[gnu::always_inline]] inline void Sum(const float* first, int64_t step, const float* weight,
                                       int64_t inputs, int64_t count, float* to) {
  if (count >= 16) return SumWide<16>(first, step, weight, inputs, count, to);
  if (count >= 8) return SumWide<8>(first, step, weight, inputs, count, to);
  if (count >= 4) return SumWide<4>(first, step, weight, inputs, count, to);
  for (int64_t i = 0; i < count; ++i) SumSome<1>(first + i, step, weight, inputs, to + i);
}

// So many values of one row from those of some rows.
STAC_WIDE_VECTORS
void SumRows(const float* first, int64_t step, const float* weight, int64_t inputs, int64_t count,
             float* to) {
  Sum(first, step, weight, inputs, count, to);
}

// All outputs of an axis whose inputs and outputs are so many values each.
STAC_WIDE_VECTORS
void SumColumns(const int64_t* first, const int64_t* start, const float* weight, int64_t outputs,
                const float* from, int64_t values, float* to) {
  for (int64_t i = 0; i < outputs; ++i)
    Sum(from + first[i] * values, values, weight + start[i], start[i + 1] - start[i], values,
        to + i * values);
}

// Of pictures of so many rows, in each of which so many values of a column lie side by side.
void Resample(const Resampling& map, const float* from, int64_t pictures, int64_t values,
              float* to) {
  const int64_t row = map.columns.inputs * values, out_row = map.columns.outputs() * values;
  const int64_t rows = pictures * map.rows.outputs();
  // Where there are few rows, threads share each of them.
  const bool few_rows = rows < at::get_num_threads();
  const auto sum_rows = [&](int64_t y, int64_t begin, int64_t end, float* sums) {
    const int64_t output = y % map.rows.outputs(), start = map.rows.start[output];
    const float* picture = from + y / map.rows.outputs() * map.rows.inputs * row;
    SumRows(picture + map.rows.first[output] * row + begin, row, map.rows.weight.data() + start,
            map.rows.start[output + 1] - start, end - begin, sums + begin);
  };
  const int64_t at_once = std::max<int64_t>(1, (1 << 14) / std::max<int64_t>({1, row, out_row}));
  at::parallel_for(0, rows, few_rows ? rows : at_once, [&](int64_t begin, int64_t end) {
    std::vector<float> sums(row);
    for (int64_t y = begin; y < end; ++y) {
      if (few_rows)
        at::parallel_for(0, row, 2048, [&](int64_t first, int64_t last) {
          sum_rows(y, first, last, sums.data());
        });
      else
        sum_rows(y, 0, row, sums.data());
      SumColumns(map.columns.first.data(), map.columns.start.data(), map.columns.weight.data(),
                 map.columns.outputs(), sums.data(), values, to + y * out_row);
    }
  });
}

// x: laid out in that format.
at::Tensor Resampled(const at::Tensor& x, const Resampling& map, at::MemoryFormat format) {
  const bool together = format == at::MemoryFormat::ChannelsLast;
  at::Tensor result = at::empty({x.size(0), x.size(1), map.rows.outputs(), map.columns.outputs()},
                                x.options().requires_grad(false).memory_format(format));
  const int64_t channels = x.size(1);
  Resample(map, x.data_ptr<float>(), together ? x.size(0) : x.size(0) * channels,
           together ? channels : 1, result.data_ptr<float>());
  return result;
}

class ResamplingBack final : public torch::autograd::Node {
 public:
  ResamplingBack(Resampling map, const at::Tensor& x)
      : map_(std::move(map)), format_(FormatOf(x)) {}

  at::Tensor Answer(const at::Tensor& x) const { return Resampled(x, map_, format_); }

  variable_list apply(variable_list&& by_output) override {
    const at::Tensor& by = by_output.front();
    if (!by.defined()) return {at::Tensor()};
    const at::NoGradGuard once;
    const Resampling back{Transposed(map_.rows), Transposed(map_.columns)};
    return {Resampled(LaidOut(by, format_), back, format_)};
  }
  std::string name() const override { return "ResamplingBack"; }

 private:
  const Resampling map_;
  const at::MemoryFormat format_;
};

at::Tensor Run(const at::Tensor& x, Resampling map) {
  if (ForwardOnly(x)) return Resampled(x, map, FormatOf(x));
  return AnswerWithHistory<ResamplingBack>(x, std::move(map), x);
}

// Beyond it ATen says what is wrong, instead of weights for every place being made first.
constexpr int64_t kLargest = 1 << 16;

bool CanBecome(const at::Tensor& x, TensorSize size) {
  return IsPlainMap(x) && x.numel() > 0 && size.height > 0 && size.width > 0 &&
         size.height <= kLargest && size.width <= kLargest;
}

}  // namespace

at::Tensor AveragePooling::Run(const at::Tensor& x) const {
  bool usual = IsPlainMap(x) && x.numel() > 0;
  for (int axis = 0; axis < 2 && usual; ++axis)
    usual = kernel[axis] > 0 && kernel[axis] <= kLargest && stride[axis] > 0 &&
            padding[axis] >= 0 && padding[axis] <= kernel[axis] / 2 &&
            x.size(2 + axis) + 2 * padding[axis] >= kernel[axis];
  if (!usual) return at::avg_pool2d(x, kernel, stride, padding, /*ceil_mode=*/false, count_padding);
  return stac::Run(x, {PoolingAxis(x.size(2), *this, 0), PoolingAxis(x.size(3), *this, 1)});
}

at::Tensor AveragedTo(const at::Tensor& x, TensorSize size) {
  if (!CanBecome(x, size)) return at::adaptive_avg_pool2d(x, {size.height, size.width});
  return Run(x, {AveragingAxis(x.size(2), size.height), AveragingAxis(x.size(3), size.width)});
}

at::Tensor EnlargedTo(const at::Tensor& x, const Enlargement& enlargement) {
  const auto& [to, align_corners] = enlargement;
  if (!CanBecome(x, to)) return at::upsample_bilinear2d(x, {to.height, to.width}, align_corners);
  return Run(x, {EnlargingAxis(x.size(2), to.height, align_corners),
                 EnlargingAxis(x.size(3), to.width, align_corners)});
}

}  // namespace stac
