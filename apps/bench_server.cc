#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <functional>
#include <memory>

#include "bench_commands.h"
#if STAC_HAS_DEVICE
#include "bench_many_devices.h"
#endif
#include "command.h"
#include "network_files.h"
#include "stac/allocate/sensitivity.h"
#include "stac/base/file.h"
#include "stac/base/log.h"
#include "stac/base/progress.h"
#include "stac/capture/frame_source.h"
#include "stac/segment/classes.h"
#include "stac/segment/networks/networks.h"
#include "stac/segment/segmenter.h"

namespace stac {
namespace {

namespace fs = std::filesystem;

struct Options {
  std::string network = DefaultNetwork();
  std::string size = "640x480";
  std::string input;
  std::string device = "auto";
  std::string precision = "auto";
  int batch = 1;
  int threads = 0;
  int reduced = 4;
  int gradient_every = 3;
  int repeats = 15;
#if STAC_HAS_DEVICE
  int devices = 0;
  double keyframe_fps = 5;
  double seconds = 10;
  LiveServerOptions live;
#endif
  bool json = false;
};

// Wall and processor time of one call.
struct Times {
  std::vector<double> wall_ms, cpu_ms;
};

Status Time(const std::function<Result<Segmentation>()>& call, Times& times) {
  const double cpu = ProcessCpuMilliseconds();
  const Stopwatch watch;
  STAC_RETURN_IF_ERROR(call());
  times.wall_ms.push_back(watch.Milliseconds());
  times.cpu_ms.push_back(ProcessCpuMilliseconds() - cpu);
  return OkStatus();
}

// (with - without) / without, of the medians' base, pair by pair.
double MedianRatio(const std::vector<double>& with, const std::vector<double>& without) {
  std::vector<double> ratios;
  for (size_t i = 0; i < with.size(); ++i) ratios.push_back(with[i] / without[i] - 1);
  return Median(std::move(ratios));
}

// The file of a network, or of one with random weights that is there as long as this is.
class NetworkFile {
 public:
  NetworkFile() = default;
  NetworkFile(const NetworkFile&) = delete;
  NetworkFile& operator=(const NetworkFile&) = delete;
  ~NetworkFile() {
    std::error_code ignored;
    if (!folder_.empty()) fs::remove_all(folder_, ignored);
  }

  // name: a file's, or a definition's.
  Status Open(const std::string& name) {
    path_ = name;
    const auto& definitions = NetworkNames();
    std::error_code ignored;
    if (fs::exists(name, ignored) ||
        std::find(definitions.begin(), definitions.end(), name) == definitions.end()) {
      return OkStatus();
    }
    const int classes = static_cast<int>(CityscapesClasses().size());
    STAC_ASSIGN_OR_RETURN(const Bytes bytes, UntrainedNetwork(name, classes));
    folder_ = fs::temp_directory_path() / fmt::format("stac_bench_{}", getpid());
    STAC_RETURN_IF_ERROR(MakeFolder(folder_));
    path_ = folder_ / (name + ".stacnet");
    return WriteFile(path_, bytes);
  }
  std::string path() const { return path_.string(); }

 private:
  fs::path folder_, path_;
};

Result<Frame> FirstFrame(const Options& options) {
  STAC_ASSIGN_OR_RETURN(const auto size, ParseSize(options.size));
  const std::string input = options.input.empty()
                                ? fmt::format("synthetic:{}x{}@15", size.first, size.second)
                                : options.input;
  STAC_ASSIGN_OR_RETURN(std::unique_ptr<FrameSource> source, OpenSource(input));
  STAC_ASSIGN_OR_RETURN(std::optional<Frame> frame, source->Next());
  if (!frame) return Fail("{} has no frame", input);
  if (frame->width() != size.first || frame->height() != size.second) {
    return Fail("{} has {}x{}, but --size is {}: give its size, or another video", input,
                frame->width(), frame->height(), options.size);
  }
  return std::move(*frame);
}

// As a server asks.
Objective ServersObjective(const RegionGrid& regions) {
  return {
      .kind = ObjectiveKind::kFakeLabelLoss, .chroma = false, .sums = RegionSumsFor(regions, {})};
}

// What differs from the same network in floats, in percent.
struct ChangedByPrecision {
  double labels;         // share of the frame's
  double sensitivities;  // of regions, the median
};

Result<ChangedByPrecision> CompareWithFloats(const Options& options, Segmenter& segmenter,
                                             const Frame& frame, const RegionGrid& regions) {
  STAC_ASSIGN_OR_RETURN(
      const auto plain,
      LoadSegmenter(options.network, {.threads = options.threads, .device = options.device}));
  const Objective objective = ServersObjective(regions);
  STAC_ASSIGN_OR_RETURN(const Segmentation expected, plain->RunWithGradient(frame, objective));
  STAC_ASSIGN_OR_RETURN(const Segmentation found, segmenter.RunWithGradient(frame, objective));
  int64_t labels = 0;
  for (size_t i = 0; i < expected.labels.size(); ++i)
    labels += expected.labels.data()[i] != found.labels.data()[i];
  const SensitivityMap before = RegionSensitivity(expected, regions);
  const SensitivityMap after = RegionSensitivity(found, regions);
  std::vector<double> changes;
  for (size_t i = 0; i < before.size(); ++i)
    if (before.data()[i] > 0)
      changes.push_back(std::abs(after.data()[i] - before.data()[i]) / before.data()[i]);
  return ChangedByPrecision{
      100.0 * static_cast<double>(labels) / static_cast<double>(expected.labels.size()),
      100 * Median(std::move(changes))};
}

Status RunBench(Options options) {
  if (options.network.empty()) {
    return Fail("no network: name a TorchScript file or one of our weight files with --network");
  }
  NetworkFile file;
  STAC_RETURN_IF_ERROR(file.Open(options.network));
  options.network = file.path();
  STAC_ASSIGN_OR_RETURN(const Frame frame, FirstFrame(options));
#if STAC_HAS_DEVICE
  if (options.devices > 0) {
    LiveServerOptions live = options.live;
    live.max_batch = options.batch;
    STAC_ASSIGN_OR_RETURN(const auto rows,
                          BenchManyDevices({.devices = options.devices,
                                            .keyframe_fps = options.keyframe_fps,
                                            .seconds = options.seconds,
                                            .threads = options.threads,
                                            .network = options.network,
                                            .device = options.device,
                                            .input = options.input,
                                            .precision = *PrecisionFromName(options.precision),
                                            .width = frame.width(),
                                            .height = frame.height(),
                                            .live = live}));
    PrintFigures({{"size", options.size}, {"rows", rows}}, options.json);
    return OkStatus();
  }
#endif
  SegmenterOptions full{.threads = options.threads,
                        .device = options.device,
                        .precision = *PrecisionFromName(options.precision)};
  SegmenterOptions less = full;
  less.gradient_downscale = options.reduced;
  STAC_ASSIGN_OR_RETURN(std::unique_ptr<Segmenter> segmenter, LoadSegmenter(options.network, full));
  STAC_ASSIGN_OR_RETURN(std::unique_ptr<Segmenter> reduced, LoadSegmenter(options.network, less));
  const RegionGrid regions{.frame_width = frame.width(), .frame_height = frame.height()};
  const Objective objective = ServersObjective(regions);

  // In turn, so that a machine whose speed drifts slows all of them alike. The first two passes at
  // a new size choose algorithms and memory; they do not count.
  constexpr int kWarmUp = 2;
  Times forward, with_gradient, with_reduced, batch_forward, batch_gradient;
  const std::vector<const Frame*> frames(static_cast<size_t>(options.batch), &frame);
  const auto batched = [&](const Objective* wanted) {
    return [&, wanted] { return std::move(segmenter->RunBatch(frames, wanted).front()); };
  };
  Progress progress("passes", options.repeats + kWarmUp);
  for (int i = 0; i < options.repeats + kWarmUp && !stop_requested; ++i) {
    if (i == kWarmUp) forward = with_gradient = with_reduced = batch_forward = batch_gradient = {};
    STAC_RETURN_IF_ERROR(Time([&] { return segmenter->Run(frame); }, forward));
    STAC_RETURN_IF_ERROR(
        Time([&] { return segmenter->RunWithGradient(frame, objective); }, with_gradient));
    STAC_RETURN_IF_ERROR(
        Time([&] { return reduced->RunWithGradient(frame, objective); }, with_reduced));
    if (options.batch > 1) {
      STAC_RETURN_IF_ERROR(Time(batched(nullptr), batch_forward));
      STAC_RETURN_IF_ERROR(Time(batched(&objective), batch_gradient));
    }
    progress.Update(i + 1);
  }
  if (stop_requested) return Fail("interrupted; nothing was measured to the end");
  const double forward_ms = Median(forward.wall_ms);
  nlohmann::ordered_json figures = {
      {"network", segmenter->info().name},
      {"size", options.size},
      {"precision", PrecisionName(segmenter->info().precision)},
      {"reduced_by", options.reduced},
      {"gradient_every", options.gradient_every},
      {"forward_ms", Rounded(forward_ms)},
      {"gradient_ms", Rounded(Median(with_gradient.wall_ms) - forward_ms)},
      {"reduced_gradient_ms", Rounded(Median(with_reduced.wall_ms) - forward_ms)},
      {"gradient_over_forward", Rounded(MedianRatio(with_gradient.wall_ms, forward.wall_ms))},
      {"reduced_gradient_over_forward",
       Rounded(MedianRatio(with_reduced.wall_ms, forward.wall_ms))},
      {"every_nth_gradient_over_forward",
       Rounded(MedianRatio(with_gradient.wall_ms, forward.wall_ms) / options.gradient_every)},
      {"forward_cpu_ms", Rounded(Median(forward.cpu_ms))},
      {"gradient_over_forward_cpu", Rounded(MedianRatio(with_gradient.cpu_ms, forward.cpu_ms))},
      {"reduced_gradient_over_forward_cpu",
       Rounded(MedianRatio(with_reduced.cpu_ms, forward.cpu_ms))}};
  if (segmenter->info().precision != Precision::kFloat) {
    STAC_ASSIGN_OR_RETURN(const ChangedByPrecision changed,
                          CompareWithFloats(options, *segmenter, frame, regions));
    figures["labels_changed_percent"] = Rounded(changed.labels);
    figures["sensitivities_changed_percent"] = Rounded(changed.sensitivities);
  }
  if (options.batch > 1) {
    const auto each = [&](const Times& batch, const Times& single) {
      return Rounded((1 + MedianRatio(batch.wall_ms, single.wall_ms)) / options.batch);
    };
    figures["batch"] = options.batch;
    figures["batch_over_single_forward"] = each(batch_forward, forward);
    figures["batch_over_single_with_gradient"] = each(batch_gradient, with_gradient);
  }
  PrintFigures(figures, options.json);
  return OkStatus();
}

}  // namespace

void AddBenchServer(CLI::App& bench) {
  auto options = std::make_shared<Options>();
  CLI::App* command = AddCommand(
      bench, "server", "A network's labels, and what the gradient costs on top.",
      "  stac bench server --network deeplab.pt --size 1280x720 --json\n"
      "  stac bench server --network bisenet --device cuda --size 2048x1024\n"
#if STAC_HAS_DEVICE
      "  stac bench server --devices 16 --max-load 0.8\n"
#endif
      "Medians over passes in turn. The gradient's time is that of labels and gradient together,\n"
      "less that of labels alone; reduced: taken on a smaller frame (stac server "
      "--gradient-downscale).\n",
      [options] { return RunBench(*options); });
  command
      ->add_option("--network", options->network,
                   fmt::format("TorchScript (.pt), own weights (.stacnet), or {}: random weights",
                               fmt::join(NetworkNames(), ", ")))
      ->capture_default_str();
  command->add_option("--size", options->size, "Of the frame")->capture_default_str();
  command->add_option("--input", options->input,
                      "Video or images whose first frame is taken (default: the synthetic street)");
  command->add_option("--device", options->device, "Where the network runs")
      ->check(CLI::IsMember({"auto", "cpu", "cuda"}))
      ->capture_default_str();
  command
      ->add_option(
          "--batch", options->batch,
          "Also N frames in one pass, for each frame against one by itself; with --devices: "
          "as in stac server")
      ->check(CLI::Range(1, 64))
      ->capture_default_str();
  command->add_option("--precision", options->precision, "As in stac server")
      ->check(CLI::IsMember(PrecisionNames()))
      ->capture_default_str();
  command->add_option("--threads", options->threads, "Of the network, at least 2 (0: all cores)")
      ->check(CLI::Range(0, 1024));
  command->add_option("--reduced", options->reduced, "Factor of the smaller frame")
      ->check(CLI::IsMember({2, 4}))
      ->capture_default_str();
  command
      ->add_option("--gradient-every", options->gradient_every,
                   "Also say what it costs on average on every N-th keyframe only")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  command->add_option("--repeats", options->repeats, "Passes that count")
      ->check(CLI::Range(1, 10000))
      ->capture_default_str();
#if STAC_HAS_DEVICE
  command
      ->add_option("--devices", options->devices,
                   "Instead: 1, 2, 4 ... N recorded devices over SRT on loopback, their latency")
      ->check(CLI::Range(1, 1000));
  command->add_option("--keyframe-fps", options->keyframe_fps, "That each device wants")
      ->check(CLI::Range(0.1, 30.0))
      ->capture_default_str();
  command->add_option("--seconds", options->seconds, "For each number of devices")
      ->check(CLI::Range(1.0, 3600.0))
      ->capture_default_str();
  command
      ->add_option("--max-load", options->live.admission.max_load,
                   "Admission control, as in stac server (0: everybody is accepted)")
      ->check(CLI::Range(0.0, 1.0));
  command
      ->add_option("--batch-wait", options->live.batch_wait_ms,
                   "With --devices: as in stac server, ms")
      ->check(CLI::Range(0.0, 1000.0));
  command
      ->add_option("--network-threads", options->live.network_threads,
                   "With --devices: as in stac server")
      ->check(CLI::Range(1, 16))
      ->capture_default_str();
#endif
  command->add_flag("--json", options->json, "Print JSON");
}

}  // namespace stac
