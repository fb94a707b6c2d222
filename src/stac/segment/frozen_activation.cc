#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "stac/segment/frozen_layers_internal.h"

namespace stac {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

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

// Whether the layer's values lie in memory without gaps, and how.
bool ChannelsSideBySide(const at::Tensor& x) {
  return !x.is_contiguous() && x.is_contiguous(at::MemoryFormat::ChannelsLast);
}
bool InOnePass(const at::Tensor& x) {
  return x.dim() == 4 && x.device().is_cpu() && x.scalar_type() == at::kFloat &&
         (x.is_contiguous() || ChannelsSideBySide(x));
}

// What is done to each value of a row of so many channels, one after the other.
struct Parameters {
  std::vector<float> scale, shift, slope;

  Parameters(const FrozenActivation& layer, int64_t channels, int64_t length)
      : scale(Repeated(layer.scale, 1, channels, length)),
        shift(Repeated(layer.shift, 0, channels, length)),
        slope(Repeated(layer.slopes, 1, channels, length)) {}

 private:
  static std::vector<float> Repeated(const at::Tensor& of_channels, float otherwise,
                                     int64_t channels, int64_t length) {
    std::vector<float> all(static_cast<size_t>(length), otherwise);
    if (!of_channels.defined()) return all;
    const at::Tensor values = of_channels.expand({channels}).contiguous();
    const float* value = values.data_ptr<float>();
    for (int64_t i = 0; i < length; ++i) all[i] = value[i % channels];
    return all;
  }
};

// For each value of x: to = value(x, by, scale, shift, slope).
template <typename F>
void ForEachValue(const at::Tensor& x, const at::Tensor& by, const FrozenActivation& layer,
                  at::Tensor& to, F value) {
  constexpr int64_t kAtOnce = 1 << 14;
  const int64_t channels = x.size(1), all = x.numel();
  if (all == 0) return;
  const float *from = x.data_ptr<float>(), *by_data = by.data_ptr<float>();
  float* to_data = to.data_ptr<float>();
  if (ChannelsSideBySide(x)) {
    // Short rows of few channels would keep the processor from computing several at a time.
    const int64_t row = channels * std::max<int64_t>(1, 256 / channels);
    const Parameters each(layer, channels, row);
    const float *scale = each.scale.data(), *shift = each.shift.data(), *slope = each.slope.data();
    const auto rows = [&](int64_t begin, int64_t end) {
      for (int64_t start = begin * row; start < std::min(end * row, all); start += row) {
        const int64_t count = std::min(row, all - start);
        const float* __restrict in = from + start;
        const float* __restrict by_in = by_data + start;
        float* __restrict out = to_data + start;
        for (int64_t j = 0; j < count; ++j)
          out[j] = value(in[j], by_in[j], scale[j], shift[j], slope[j]);
      }
    };
    at::parallel_for(0, (all + row - 1) / row, std::max<int64_t>(1, kAtOnce / row), rows);
    return;
  }
  const Parameters each(layer, channels, channels);
  const int64_t plane = all / (x.size(0) * channels);
  const auto planes = [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const float scale = each.scale[i % channels], shift = each.shift[i % channels],
                  slope = each.slope[i % channels];
      const float* __restrict in = from + i * plane;
      const float* __restrict by_in = by_data + i * plane;
      float* __restrict out = to_data + i * plane;
      for (int64_t j = 0; j < plane; ++j) out[j] = value(in[j], by_in[j], scale, shift, slope);
    }
  };
  at::parallel_for(0, x.size(0) * channels, std::max<int64_t>(1, kAtOnce / plane), planes);
}

at::Tensor AnswerInOnePass(const at::Tensor& x, const FrozenActivation& layer) {
  at::Tensor result = at::empty_like(x);
  ForEachValue(x, x, layer, result, [](float in, float, float scale, float shift, float slope) {
    const float t = in * scale + shift;
    return t > 0 ? t : t * slope;
  });
  return result;
}

at::Tensor GradientInOnePass(const at::Tensor& by_output, const at::Tensor& x,
                             const FrozenActivation& layer) {
  const at::Tensor by = by_output.contiguous(x.suggest_memory_format());
  at::Tensor result = at::empty_like(x);
  ForEachValue(x, by, layer, result,
               [](float in, float by_out, float scale, float shift, float slope) {
                 const float above = by_out * scale;
                 return in * scale + shift > 0 ? above : above * slope;
               });
  return result;
}

at::Tensor Answer(const at::Tensor& x, const FrozenActivation& layer) {
  return InOnePass(x) ? AnswerInOnePass(x, layer) : AnswerInSteps(x, layer);
}

class ActivationFunction : public torch::autograd::Function<ActivationFunction> {
 public:
  // layer: a pointer, so that autograd takes no notice of it.
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x,
                            const FrozenActivation* layer) {
    context->save_for_backward({x, layer->scale, layer->shift, layer->slopes});
    return Answer(x, *layer);
  }

  static variable_list backward(AutogradContext* context, const variable_list& by_output) {
    const auto saved = context->get_saved_variables();
    const at::Tensor& x = saved[0];
    const FrozenActivation layer{.scale = saved[1], .shift = saved[2], .slopes = saved[3]};
    const at::Tensor& by = by_output.front();
    return {InOnePass(x) ? GradientInOnePass(by, x, layer) : GradientInSteps(by, x, layer), {}};
  }
};

}  // namespace

at::Tensor FrozenActivation::Run(const at::Tensor& x) const {
  return ForwardOnly(x) ? Answer(x, *this) : ActivationFunction::apply(x, this);
}

}  // namespace stac
