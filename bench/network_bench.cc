// Networks at three sizes: labels, and labels with one gradient, from I420 frame to result. Our own
// definitions need no file; TorchScript networks are read from STAC_DATA where it is set.

#include <benchmark/benchmark.h>

#include <cstdio>
#include <filesystem>
#include <string>
#include <utility>

#include "stac/base/file.h"
#include "stac/capture/synthetic_scene.h"
#include "stac/segment/segmenter.h"

namespace stac {
namespace {

Frame Street(const benchmark::State& state) {
  const int width = static_cast<int>(state.range(0)), height = static_cast<int>(state.range(1));
  return SyntheticScene({.width = width, .height = height}).Render(0).frame;
}

void Forward(benchmark::State& state, const std::string& path) {
  auto network = LoadSegmenter(path, {.device = "cpu"});
  if (!network) return state.SkipWithError(network.error().message.c_str());
  const Frame frame = Street(state);
  for (auto _ : state) benchmark::DoNotOptimize((*network)->Run(frame));
  state.counters["fps"] = benchmark::Counter(state.iterations(), benchmark::Counter::kIsRate);
}

void ForwardAndGradient(benchmark::State& state, const std::string& path) {
  auto network = LoadSegmenter(path, {.device = "cpu"});
  if (!network) return state.SkipWithError(network.error().message.c_str());
  const Frame frame = Street(state);
  const Objective objective{.kind = ObjectiveKind::kFakeLabelLoss};  // the server's default
  for (auto _ : state) benchmark::DoNotOptimize((*network)->RunWithGradient(frame, objective));
  state.counters["fps"] = benchmark::Counter(state.iterations(), benchmark::Counter::kIsRate);
}

void Register(const std::filesystem::path& path) {
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored)) return;
  const std::string name = path.stem().string(), file = path.string();
  using Body = void (*)(benchmark::State&, const std::string&);
  const std::pair<std::string, Body> bodies[] = {{"Forward/", Forward},
                                                 {"ForwardAndGradient/", ForwardAndGradient}};
  for (const auto& [kind, run] : bodies) {
    benchmark::RegisterBenchmark((kind + name).c_str(), run, file)
        ->Args({640, 480})
        ->Args({1280, 720})
        ->Args({2048, 1024})
        ->Unit(benchmark::kMillisecond)
        ->UseRealTime();
  }
}

}  // namespace
}  // namespace stac

int main(int argc, char** argv) {
  stac::Register(std::filesystem::path(STAC_SOURCE_DIR) / "assets" / "edge_city19.stacnet");
  const std::filesystem::path data = stac::DataFolder();
  if (!data.empty())
    for (const char* name : {"deeplab_edge_city.pt", "espnetv2_city.pt"})
      stac::Register(data / "models" / name);
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
