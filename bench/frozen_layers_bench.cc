// Single convolutions with frozen weights: forward, and their gradient at the input as ATen finds
// it and as frozen_layers does. Channels side by side, as networks run.

#include <ATen/ATen.h>
#include <benchmark/benchmark.h>
#include <torch/csrc/autograd/autograd.h>

#include <string>

#include "stac/segment/frozen/layers_internal.h"
#include "stac/segment/torch_segmenter_internal.h"

namespace stac {
namespace {

struct Layer {
  const char* name;
  int64_t in, out, height, width, kernel;
  ConvGeometry geometry;
};

const Layer kLayers[] = {
    {"depthwise 5x5, dilated",
     480,
     480,
     31,
     41,
     5,
     {.padding = {4, 4}, .dilation = {2, 2}, .groups = 480}},
    {"depthwise 3x3, dilated",
     960,
     960,
     31,
     41,
     3,
     {.padding = {2, 2}, .dilation = {2, 2}, .groups = 960}},
    {"3x3, dilated", 512, 512, 60, 80, 3, {.padding = {2, 2}, .dilation = {2, 2}}},
    {"3x3", 64, 64, 120, 160, 3, {.padding = {1, 1}}},
    {"stem 7x7", 3, 16, 480, 640, 7, {.padding = {3, 3}}},
    {"stem 7x7, stride 2", 3, 64, 480, 640, 7, {.stride = {2, 2}, .padding = {3, 3}}}};

enum class Pass { kForward, kAtenGradient, kOurGradient, kHalfGradient };

at::Tensor LaidOut(const at::Tensor& x) { return x.contiguous(at::MemoryFormat::ChannelsLast); }

void Run(benchmark::State& state, const Layer& layer, Pass pass) {
  PrepareInferenceThread(0);
  const ConvGeometry& g = layer.geometry;
  const auto weight =
      LaidOut(at::randn({layer.out, layer.in / g.groups, layer.kernel, layer.kernel}));
  const auto kernel =
      InputGradientKernel(weight, g, pass == Pass::kHalfGradient ? at::kBFloat16 : at::kFloat);
  const auto x = LaidOut(at::randn({1, layer.in, layer.height, layer.width}));
  const FrozenConvolution frozen{weight, {}, kernel, g};
  const auto forward = [&](const at::Tensor& input) {
    if (pass == Pass::kAtenGradient)
      return at::conv2d(input, weight, {}, g.stride, g.padding, g.dilation, g.groups);
    return frozen.Run(input);
  };
  if (pass == Pass::kForward) {
    for (auto _ : state) benchmark::DoNotOptimize(forward(x));
    return;
  }
  const auto input = x.clone().set_requires_grad(true);
  const auto y = forward(input);
  const auto by_y = LaidOut(at::randn_like(y));
  for (auto _ : state) {
    benchmark::DoNotOptimize(
        torch::autograd::grad({y}, {input}, {by_y}, /*retain_graph=*/true).front());
  }
}

}  // namespace
}  // namespace stac

int main(int argc, char** argv) {
  const std::pair<const char*, stac::Pass> passes[] = {
      {": forward", stac::Pass::kForward},
      {": gradient, ATen", stac::Pass::kAtenGradient},
      {": gradient, ours", stac::Pass::kOurGradient},
      {": gradient, ours in bfloat16", stac::Pass::kHalfGradient}};
  const bool fast_half = stac::HalfType(at::kCPU).has_value();
  for (const stac::Layer& layer : stac::kLayers) {
    for (const auto& [name, pass] : passes) {
      if (pass == stac::Pass::kHalfGradient && !fast_half) continue;
      benchmark::RegisterBenchmark((std::string(layer.name) + name).c_str(), stac::Run, layer, pass)
          ->Unit(benchmark::kMillisecond)
          ->UseRealTime();
    }
  }
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
