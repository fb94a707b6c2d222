// The rows of the paper's Table II that do not need a network, each at three sizes, on two frames
// of the synthetic street. Networks: network_bench; content metrics and the tuner: adapt_bench;
// whole pipelines: stac bench.
#include <benchmark/benchmark.h>

#include <map>

#include "stac/allocate/residual_refine.h"
#include "stac/allocate/rules.h"
#include "stac/allocate/sensitivity.h"
#include "stac/capture/synthetic_scene.h"
#include "stac/codec/label_coder.h"
#include "stac/codec/video_decoder.h"
#include "stac/codec/video_encoder.h"
#include "stac/device/keyframe_planner.h"
#include "stac/flow/optical_flow.h"
#include "stac/propagate/motion_chain.h"
#include "stac/propagate/warp.h"
#include "stac/quant/profile.h"

namespace stac {
namespace {

constexpr int kDistance = 4;  // frames between the keyframe and now

struct Material {
  std::vector<SyntheticScene::Picture> pictures;
  RegionGrid regions;
  LevelMap levels;
  FlowField now_to_before;    // adjacent frames
  FlowField now_to_keyframe;  // kDistance of them
};

FlowField FlowBetween(const Frame& then, const Frame& now, int grid) {
  auto flow = MakeDisFlow({.grid = grid});
  FlowField field;
  flow->Next(then, field);
  flow->Next(now, field);
  return field;
}

const Material& Of(const benchmark::State& state) {
  static std::map<int64_t, Material> made;
  Material& material = made[state.range(0)];
  if (!material.pictures.empty()) return material;
  const int width = static_cast<int>(state.range(0)), height = static_cast<int>(state.range(1));
  const SyntheticScene scene({.width = width, .height = height, .fps = 30});
  for (int i = 0; i <= kDistance; ++i) material.pictures.push_back(scene.Render(i));
  material.regions = {width, height, kMacroblock};
  material.levels = LevelMap(material.regions.columns(), material.regions.rows());
  for (size_t i = 0; i < material.levels.size(); ++i) {
    material.levels[i] = static_cast<uint8_t>(12 + i % 7);
  }
  const auto frame = [&](int i) { return material.pictures[static_cast<size_t>(i)].frame; };
  material.now_to_before = FlowBetween(frame(kDistance - 1), frame(kDistance), 8);
  material.now_to_keyframe = FlowBetween(frame(0), frame(kDistance), 8);
  return material;
}

void Flow(benchmark::State& state, int grid) {
  const Material& material = Of(state);
  auto flow = MakeDisFlow({.grid = grid});
  FlowField field;
  flow->Next(material.pictures[0].frame, field);
  size_t i = 0;
  for (auto _ : state) flow->Next(material.pictures[1 + i++ % kDistance].frame, field);
}

void Mapping(benchmark::State& state) {
  const Material& material = Of(state);
  LabelMap now;
  for (auto _ : state) WarpLabels(material.pictures[0].labels, material.now_to_keyframe, now);
}

void ExtendChain(benchmark::State& state) {
  const Material& material = Of(state);
  MotionChain chain(2);
  chain.AddAnchor(0, material.regions.frame_width, material.regions.frame_height,
                  material.now_to_before.step);
  for (auto _ : state) chain.Advance(material.now_to_before);
}

// Levels and QPs of a keyframe.
void PlanKeyframe(benchmark::State& state) {
  const Material& material = Of(state);
  const KeyframePlanner planner({}, material.regions.frame_width, material.regions.frame_height);
  for (auto _ : state) {
    const LevelMap levels = WarpLevels(material.levels, material.now_to_keyframe, material.regions);
    benchmark::DoNotOptimize(planner.Plan(material.pictures[kDistance].frame, &levels, 30, 30));
  }
}

void Refine(benchmark::State& state) {
  const Material& material = Of(state);
  RefineOptions options;
  options.matrix = FlatMatrices().inter_y4;
  const LevelLadder ladder = UncalibratedProfile("bench", "0", 19).ladder();
  for (auto _ : state) {
    benchmark::DoNotOptimize(
        RefineForResidual(material.pictures[1].frame, material.pictures[0].frame, material.levels,
                          &material.levels, material.regions, ladder, options));
  }
}

// From the gradient at the input to levels.
void Allocate(benchmark::State& state) {
  const Material& material = Of(state);
  const int width = material.regions.frame_width, height = material.regions.frame_height;
  InputGradient gradient{Grid<float>(width, height), Grid<float>(width / 2, height / 2),
                         Grid<float>(width / 2, height / 2)};
  const PlaneView luma = material.pictures[0].frame.y();
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) gradient.y(x, y) = static_cast<float>(luma.At(x, y) - 128);
  }
  const std::vector<InputGradient> gradients = {gradient};
  const LevelLadder ladder = UncalibratedProfile("bench", "0", 19).ladder();
  for (auto _ : state) {
    benchmark::DoNotOptimize(
        PowerLevels(RegionSensitivity(gradients, material.regions), 30, {}, ladder));
  }
}

EncoderOptions Encoder(const Material& material) {
  return {.width = material.regions.frame_width,
          .height = material.regions.frame_height,
          .fps = 30,
          .color = material.pictures[0].frame.color(),
          .extra = "psy=1"};
}

void Encode(benchmark::State& state) {
  const Material& material = Of(state);
  auto encoder = MakeX264Encoder(Encoder(material));
  const QpMap qp(material.regions.mb_columns(), material.regions.mb_rows(), 30);
  size_t i = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(
        (*encoder)->Encode(material.pictures[i % (kDistance + 1)].frame, &qp, i == 0));
    ++i;
  }
}

void Decode(benchmark::State& state) {
  const Material& material = Of(state);
  auto encoder = MakeX264Encoder(Encoder(material));
  const QpMap qp(material.regions.mb_columns(), material.regions.mb_rows(), 30);
  std::vector<Bytes> coded;
  for (const auto& picture : material.pictures) {
    coded.push_back((*encoder)->Encode(picture.frame, &qp, coded.empty())->access_unit);
  }
  auto decoder = MakeVideoDecoder();
  size_t i = 0;
  for (auto _ : state) benchmark::DoNotOptimize((*decoder)->Decode(coded[i++ % coded.size()]));
}

void EncodeLabelMap(benchmark::State& state) {
  const Material& material = Of(state);
  for (auto _ : state) {
    benchmark::DoNotOptimize(
        EncodeLabels(material.pictures[kDistance].labels, &material.pictures[0].labels));
  }
}

void DecodeLabelMap(benchmark::State& state) {
  const Material& material = Of(state);
  const LabelMap& now = material.pictures[kDistance].labels;
  const LabelMap& before = material.pictures[0].labels;
  const Bytes coded = *EncodeLabels(now, &before);
  for (auto _ : state) {
    benchmark::DoNotOptimize(DecodeLabels(coded, now.width(), now.height(), &before));
  }
}

void Sizes(benchmark::internal::Benchmark* benchmark) {
  benchmark->Args({640, 480})->Args({1280, 720})->Args({2048, 1024});
  benchmark->Unit(benchmark::kMillisecond)->MeasureProcessCPUTime();
}

BENCHMARK_CAPTURE(Flow, grid4, 4)->Apply(Sizes);
BENCHMARK_CAPTURE(Flow, grid8, 8)->Apply(Sizes);
BENCHMARK_CAPTURE(Flow, grid16, 16)->Apply(Sizes);
BENCHMARK(Mapping)->Apply(Sizes);
BENCHMARK(ExtendChain)->Apply(Sizes);
BENCHMARK(PlanKeyframe)->Apply(Sizes);
BENCHMARK(Refine)->Apply(Sizes);
BENCHMARK(Allocate)->Apply(Sizes);
BENCHMARK(Encode)->Apply(Sizes);
BENCHMARK(Decode)->Apply(Sizes);
BENCHMARK(EncodeLabelMap)->Apply(Sizes);
BENCHMARK(DecodeLabelMap)->Apply(Sizes);

}  // namespace
}  // namespace stac

BENCHMARK_MAIN();
