// What adaptation costs per frame (content metrics of 2048x1024) and per second (the tuner).

#include <benchmark/benchmark.h>
#include <fmt/ranges.h>

#include <string>
#include <vector>

#include "stac/adapt/content_metrics.h"
#include "stac/adapt/tuner.h"

namespace stac {
namespace {

// A deterministic texture: no sample is like its neighbours.
Frame Texture(int shift) {
  Frame frame(2048, 1024);
  for (int y = 0; y < 1024; ++y) {
    for (int x = 0; x < 2048; ++x) {
      frame.MutablePlane(0)[y * frame.y().stride + x] =
          static_cast<uint8_t>((x + shift) * (y + 7) >> 5);
    }
  }
  return frame;
}

void BM_FrameComplexity(benchmark::State& state) {
  const Frame frame = Texture(0);
  for (auto _ : state) {
    benchmark::DoNotOptimize(FrameComplexity(frame.y(), static_cast<int>(state.range(0))));
  }
}
BENCHMARK(BM_FrameComplexity)
    ->ArgName("block_stride")
    ->Arg(1)
    ->Arg(2)
    ->Arg(4)
    ->Unit(benchmark::kMillisecond);

void BM_FrameDifference(benchmark::State& state) {
  const Frame now = Texture(3);
  const Frame before = Texture(0);
  for (auto _ : state) benchmark::DoNotOptimize(FrameDifference(now.y(), before.y()));
}
BENCHMARK(BM_FrameDifference)->Unit(benchmark::kMillisecond);

// 6 -> 96 -> 96 -> 2: 20 kFLOP.
void BM_Tuner(benchmark::State& state) {
  const auto numbers = [](size_t count) {
    return fmt::format("[{}]", fmt::join(std::vector<double>(count, 0.01), ","));
  };
  const auto layer = [&](size_t inputs, size_t outputs) {
    const std::vector<std::string> rows(outputs, numbers(inputs));
    return fmt::format(R"({{"weights":[{}],"bias":{}}})", fmt::join(rows, ","), numbers(outputs));
  };
  const auto network = TunerNetwork::FromJson(fmt::format(
      R"({{"format":"stac-tuner-1","input_mean":{0},"input_scale":{0},"layers":[{1},{2},{3}]}})",
      numbers(6), layer(6, 96), layer(96, 96), layer(96, 2)));
  if (!network) return state.SkipWithError(network.error().message.c_str());
  const auto features = TunerNetwork::Features({.last_kbps = 900, .bandwidth_kbps = 1100});
  for (auto _ : state) benchmark::DoNotOptimize(network->Evaluate(features));
  state.counters["flop"] = static_cast<double>(network->flops());
}
BENCHMARK(BM_Tuner)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace stac

BENCHMARK_MAIN();
