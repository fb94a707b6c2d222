#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/csrc/autograd/saved_variable.h>

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

// ---- In steps of ATen ----

at::Tensor ForEachChannel(const at::Tensor& of_channels, const at::Tensor& x) {
  std::vector<int64_t> shape(static_cast<size_t>(x.dim()), 1);
  if (x.dim() > 1) shape[1] = of_channels.numel();
  return of_channels.view(shape);
}

at::Tensor Normalized(const at::Tensor& x, const FrozenActivation& layer) {
  if (!layer.scale.defined()) return x;
  return x * ForEachChannel(layer.scale, x) + ForEachChannel(layer.shift, x);
}

at::Tensor AnswerInSteps(const at::Tensor& x, const FrozenActivation& layer) {
  const at::Tensor t = Normalized(x, layer);
  return layer.slopes.defined() ? at::prelu(t, layer.slopes) : t;
}

at::Tensor GradientInSteps(const at::Tensor& by_output, const at::Tensor& x,
                           const FrozenActivation& layer) {
  at::Tensor by = by_output;
  if (layer.slopes.defined()) {
    const at::Tensor slopes = ForEachChannel(layer.slopes, x);
    by = at::where(Normalized(x, layer) > 0, by, by * slopes);
  }
  return layer.scale.defined() ? by * ForEachChannel(layer.scale, x) : by;
}

// ---- In one pass over floats ----

constexpr int64_t kAtOnce = 1 << 14;  // values, of a thread

// Of each value of a row.
struct Parameters {
  std::vector<float> scale, shift, slope;

  explicit Parameters(size_t length) : scale(length, 1), shift(length, 0), slope(length, 1) {}
};

STAC_WIDE_VECTORS
void AnswerRow(const float* in, const float* scale, const float* shift, const float* slope,
               int64_t count, float* __restrict out) {
  for (int64_t i = 0; i < count; ++i) {
    const float t = in[i] * scale[i] + shift[i];
    out[i] = t > 0 ? t : t * slope[i];
  }
}

// Remembers, too, what is above zero.
STAC_WIDE_VECTORS
void AnswerRowAndSigns(const float* in, const float* scale, const float* shift, const float* slope,
                       int64_t count, float* __restrict out, uint8_t* __restrict above) {
  for (int64_t i = 0; i < count; ++i) {
    const float t = in[i] * scale[i] + shift[i];
    out[i] = t > 0 ? t : t * slope[i];
    above[i] = t > 0;
  }
}

// out: may be `by`.
STAC_WIDE_VECTORS
void GradientRow(const float* by, const uint8_t* above, const float* scale, const float* slope,
                 int64_t count, float* out) {
#pragma GCC ivdep
  for (int64_t i = 0; i < count; ++i) {
    const float by_t = above[i] ? by[i] : by[i] * slope[i];
    out[i] = by_t * scale[i];
  }
}

// Calls row(first value, how many, parameters of each) for all values of a map, in parallel.
template <typename F>
void ForEachRow(const at::Tensor& x, const FrozenActivation& layer, F row) {
  const int64_t channels = x.size(1), all = x.numel();
  if (all == 0) return;
  const auto of_channels = [&](const at::Tensor& values) {
    return values.defined() ? values.expand({channels}).contiguous() : at::Tensor();
  };
  const at::Tensor scale = of_channels(layer.scale), shift = of_channels(layer.shift),
                   slopes = of_channels(layer.slopes);
  const auto set = [&](Parameters& each, int64_t i, int64_t channel) {
    if (scale.defined()) each.scale[i] = scale.data_ptr<float>()[channel];
    if (shift.defined()) each.shift[i] = shift.data_ptr<float>()[channel];
    if (slopes.defined()) each.slope[i] = slopes.data_ptr<float>()[channel];
  };
  if (ChannelsSideBySide(x)) {
    // Short rows of few channels would keep the processor from computing several at a time.
    const int64_t length = channels * std::max<int64_t>(1, 256 / channels);
    Parameters each(static_cast<size_t>(length));
    for (int64_t i = 0; i < length; ++i) set(each, i, i % channels);
    at::parallel_for(0, (all + length - 1) / length, std::max<int64_t>(1, kAtOnce / length),
                     [&](int64_t begin, int64_t end) {
                       for (int64_t start = begin * length; start < std::min(end * length, all);
                            start += length)
                         row(start, std::min(length, all - start), each);
                     });
    return;
  }
  const int64_t plane = all / (x.size(0) * channels), length = std::min<int64_t>(plane, 1024);
  at::parallel_for(0, x.size(0) * channels, std::max<int64_t>(1, kAtOnce / plane),
                   [&](int64_t begin, int64_t end) {
                     Parameters each(static_cast<size_t>(length));
                     for (int64_t p = begin; p < end; ++p) {
                       for (int64_t i = 0; i < length; ++i) set(each, i, p % channels);
                       for (int64_t start = 0; start < plane; start += length)
                         row(p * plane + start, std::min(length, plane - start), each);
                     }
                   });
}

// above: if defined, gets for each value whether PReLU sees it above zero.
at::Tensor AnswerInOnePass(const at::Tensor& x, const FrozenActivation& layer, at::Tensor above) {
  at::Tensor result = at::empty_like(x);
  const float* in = x.data_ptr<float>();
  float* out = result.data_ptr<float>();
  uint8_t* signs = above.defined() ? above.data_ptr<uint8_t>() : nullptr;
  ForEachRow(x, layer, [&](int64_t at, int64_t count, const Parameters& each) {
    const float *scale = each.scale.data(), *shift = each.shift.data(), *slope = each.slope.data();
    if (signs == nullptr)
      AnswerRow(in + at, scale, shift, slope, count, out + at);
    else
      AnswerRowAndSigns(in + at, scale, shift, slope, count, out + at, signs + at);
  });
  return result;
}

// In the place of by_output, if it is ours.
at::Tensor GradientInOnePass(const at::Tensor& by_output, const at::Tensor& above,
                             const FrozenActivation& layer) {
  at::Tensor result = IsOurs(by_output) ? by_output : at::empty_like(by_output);
  const float* by = by_output.data_ptr<float>();
  const uint8_t* signs = above.data_ptr<uint8_t>();
  float* out = result.data_ptr<float>();
  ForEachRow(by_output, layer, [&](int64_t at, int64_t count, const Parameters& each) {
    GradientRow(by + at, signs + at, each.scale.data(), each.slope.data(), count, out + at);
  });
  return result;
}

class ActivationBack final : public torch::autograd::Node {
 public:
  explicit ActivationBack(const FrozenActivation& layer) : layer_(layer) {}

  // The layer's answer, before it has a history.
  at::Tensor Answer(const at::Tensor& x) {
    format_ = FormatOf(x);
    if (!IsPlainMap(x)) {
      x_ = torch::autograd::SavedVariable(x, /*is_output=*/false);
      return AnswerInSteps(x, layer_);
    }
    above_ = at::empty(x.numel(), x.options().dtype(at::kByte).requires_grad(false));
    return AnswerInOnePass(x, layer_, above_);
  }

  torch::autograd::variable_list apply(torch::autograd::variable_list&& by_output) override {
    at::Tensor by = std::move(by_output.front());
    if (!by.defined()) return {at::Tensor()};
    const at::NoGradGuard once;
    if (!above_.defined()) return {GradientInSteps(by, x_.unpack(), layer_)};
    by = LaidOut(by, format_);
    return {GradientInOnePass(by, above_, layer_)};
  }

  void release_variables() override {
    above_.reset();
    x_.reset_data();
  }
  std::string name() const override { return "ActivationBack"; }

 private:
  const FrozenActivation layer_;
  at::MemoryFormat format_ = at::MemoryFormat::Contiguous;
  // Either.
  at::Tensor above_;
  torch::autograd::SavedVariable x_;
};

// ---- ReLU behind something else ----

STAC_WIDE_VECTORS
void RectifyRow(float* values, int64_t count, uint8_t* __restrict passed) {
  for (int64_t i = 0; i < count; ++i) {
    const bool passes = !(values[i] <= 0);  // what is no number passes
    passed[i] = passes;
    values[i] = passes ? values[i] : 0;
  }
}

// out: may be `by`.
STAC_WIDE_VECTORS
void RectifiedGradientRow(const float* by, const uint8_t* passed, int64_t count, float* out) {
#pragma GCC ivdep
  for (int64_t i = 0; i < count; ++i) out[i] = passed[i] ? by[i] : 0;
}

// As bfloat16 numbers, rounded to the nearest, of equals to the even one.
STAC_WIDE_VECTORS
void RectifiedGradientRow(const float* by, const uint8_t* passed, int64_t count,
                          uint16_t* __restrict out) {
  for (int64_t i = 0; i < count; ++i) {
    uint32_t bits;
    std::memcpy(&bits, by + i, sizeof(bits));
    const uint32_t rounded = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
    const uint32_t number = (bits & 0x7fffffff) > 0x7f800000 ? 0x7fc0 : rounded;  // or none
    out[i] = static_cast<uint16_t>(passed[i] ? number : 0);
  }
}

}  // namespace

at::Tensor RectifyInPlace(at::Tensor& map) {
  at::Tensor passed = at::empty(map.numel(), map.options().dtype(at::kByte));
  float* values = map.data_ptr<float>();
  uint8_t* bytes = passed.data_ptr<uint8_t>();
  at::parallel_for(0, map.numel(), kAtOnce, [&](int64_t begin, int64_t end) {
    RectifyRow(values + begin, end - begin, bytes + begin);
  });
  return passed;
}

at::Tensor RectifiedGradient(const at::Tensor& by_output, const at::Tensor& passed,
                             at::ScalarType type) {
  const bool in_place = type == at::kFloat && IsOurs(by_output);
  at::Tensor result =
      in_place ? by_output : at::empty_like(by_output, by_output.options().dtype(type));
  const float* by = by_output.data_ptr<float>();
  const uint8_t* bytes = passed.data_ptr<uint8_t>();
  const auto fill = [&](auto* out) {
    at::parallel_for(0, by_output.numel(), kAtOnce, [&](int64_t begin, int64_t end) {
      RectifiedGradientRow(by + begin, bytes + begin, end - begin, out + begin);
    });
  };
  if (type == at::kBFloat16)
    fill(static_cast<uint16_t*>(result.data_ptr()));
  else
    fill(result.data_ptr<float>());
  return result;
}

at::Tensor FrozenActivation::Run(const at::Tensor& x) const {
  if (ForwardOnly(x))
    return IsPlainMap(x) ? AnswerInOnePass(x, *this, {}) : AnswerInSteps(x, *this);
  return AnswerWithHistory<ActivationBack>(x, *this);
}

}  // namespace stac
