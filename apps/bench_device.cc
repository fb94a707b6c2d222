#include <algorithm>
#include <memory>

#include "bench_commands.h"
#include "command.h"
#include "replay_server.h"
#include "stac/base/log.h"
#include "stac/capture/frame_source.h"
#include "stac/capture/image_io.h"
#include "stac/device/live_device.h"
#include "stac/flow/optical_flow.h"
#include "video_encoder.h"

namespace stac {
namespace {

constexpr int kBands = 12;  // labels drawn where none are recorded
constexpr int kBlur = 16;   // pixels

struct Options {
  std::string size = "2048x1024";
  std::string input;
  std::string labels;
  std::string codec = "h264";
  double fps = 30;
  double keyframe_fps = 5;
  double seconds = 5;
  double qp = 30;
  double answer_ms = 60;
  int rounds = 3;
  int clip_frames = 13;
  int flow_grid = 0;
  bool json = false;
  DeviceOptions device;
};

struct Clip {
  SourceInfo info;
  std::vector<Frame> frames;
  std::vector<LabelMap> labels;
  int class_count = 0;
};

// A clip in memory, forwards and backwards.
class LoopSource final : public FrameSource {
 public:
  LoopSource(const Clip& clip, double seconds)
      : clip_(clip), count_(static_cast<FrameId>(seconds * clip.info.fps)) {}
  const SourceInfo& info() const override { return clip_.info; }
  Result<std::optional<Frame>> Next() override {
    if (next_ == count_) return std::nullopt;
    Frame frame =
        clip_
            .frames[static_cast<size_t>(PlaceInLoop(next_, static_cast<int>(clip_.frames.size())))];
    frame.id = next_;
    frame.pts = static_cast<Micros>(next_ * 1e6 / clip_.info.fps);
    ++next_;
    return frame;
  }

 private:
  const Clip& clip_;
  const FrameId count_;
  FrameId next_ = 0;
};

// Bands of blurred luma: areas with smooth borders that move with the picture.
LabelMap DrawnLabels(const Frame& frame) {
  const int columns = (frame.width() + kBlur - 1) / kBlur;
  const int rows = (frame.height() + kBlur - 1) / kBlur;
  Grid<float> means(columns, rows);
  for (int j = 0; j < rows; ++j) {
    for (int i = 0; i < columns; ++i) {
      int sum = 0, count = 0;
      for (int y = j * kBlur; y < std::min((j + 1) * kBlur, frame.height()); ++y) {
        for (int x = i * kBlur; x < std::min((i + 1) * kBlur, frame.width()); ++x, ++count) {
          sum += frame.y().At(x, y);
        }
      }
      means(i, j) = static_cast<float>(sum) / static_cast<float>(count);
    }
  }
  LabelMap labels(frame.width(), frame.height());
  for (int y = 0; y < labels.height(); ++y) {
    const float v = (static_cast<float>(y) + 0.5f) / kBlur - 0.5f;
    const int j = static_cast<int>(std::floor(v));
    for (int x = 0; x < labels.width(); ++x) {
      const float u = (static_cast<float>(x) + 0.5f) / kBlur - 0.5f;
      const int i = static_cast<int>(std::floor(u));
      const float a = u - static_cast<float>(i), b = v - static_cast<float>(j);
      const float top = means.Clamped(i, j) * (1 - a) + means.Clamped(i + 1, j) * a;
      const float bottom = means.Clamped(i, j + 1) * (1 - a) + means.Clamped(i + 1, j + 1) * a;
      labels(x, y) = static_cast<uint8_t>((top * (1 - b) + bottom * b) * kBands / 256);
    }
  }
  return labels;
}

Result<Clip> LoadClip(const Options& options) {
  STAC_ASSIGN_OR_RETURN(const auto size, ParseSize(options.size));
  const std::string input = options.input.empty() ? fmt::format("synthetic:{}x{}@{:g}", size.first,
                                                                size.second, options.fps)
                                                  : options.input;
  STAC_ASSIGN_OR_RETURN(std::unique_ptr<FrameSource> source,
                        OpenSource(input, {.max_frames = options.clip_frames}));
  Clip clip{.info = source->info()};
  if (clip.info.width != size.first || clip.info.height != size.second) {
    return Fail("{} has {}x{}, but --size is {}: give its size, or another video", input,
                clip.info.width, clip.info.height, options.size);
  }
  spdlog::info("loading {} frames of {}", options.clip_frames, input);
  for (;;) {
    STAC_ASSIGN_OR_RETURN(std::optional<Frame> frame, source->Next());
    if (!frame || stop_requested) break;
    LabelMap labels;
    if (!options.labels.empty()) {
      STAC_ASSIGN_OR_RETURN(
          labels, ReadLabelPng(fmt::format("{}/{:06}.png", options.labels, clip.frames.size())));
      if (!labels.SameSize(clip.info.width, clip.info.height)) {
        return Fail("{}/{:06}.png is {}x{}, the video {}: record labels at its size",
                    options.labels, clip.frames.size(), labels.width(), labels.height(),
                    options.size);
      }
    } else if (auto exact = source->Labels()) {
      labels = std::move(*exact);
    } else {
      labels = DrawnLabels(*frame);
    }
    for (const uint8_t label : labels) {
      if (label != kUnlabelled) clip.class_count = std::max(clip.class_count, label + 1);
    }
    clip.labels.push_back(std::move(labels));
    clip.frames.push_back(std::move(*frame));
  }
  if (clip.frames.size() < 2) return Fail("{} has fewer than two frames", input);
  clip.info.fps = options.fps;
  clip.info.live = false;
  return clip;
}

// Everything that one run of the pipeline says.
class Collector final : public DeviceSink {
 public:
  void OnFrame(const FrameRecord& record, const Frame&, const LabelMap&) override {
    frames.push_back(record);
    last_ms = watch.Milliseconds();
    if (frames.size() == 1) first_ms = last_ms;
  }
  void OnKeyframe(const KeyframeRecord& record, const KeyframeJob&, ByteSpan) override {
    keyframes.push_back(record);
  }
  void OnFeedback(const FeedbackReport& report) override { feedback.push_back(report); }

  double Fps() const {
    return frames.size() < 2 ? 0
                             : static_cast<double>(frames.size() - 1) * 1e3 / (last_ms - first_ms);
  }

  std::vector<FrameRecord> frames;
  std::vector<KeyframeRecord> keyframes;
  std::vector<FeedbackReport> feedback;
  DeviceTotals totals;
  double cpu_ms = 0;

 private:
  Stopwatch watch;
  double first_ms = 0, last_ms = 0;
};

Result<Collector> RunPipeline(const Options& options, const Clip& clip, ReplayServer& server,
                              double seconds) {
  Collector collector;
  DeviceOptions device = options.device;
  device.width = clip.info.width;
  device.height = clip.info.height;
  device.fps = clip.info.fps;
  device.color = clip.info.color;
  device.schedule.keyframe_fps = options.keyframe_fps;
  FlowOptions flow;
  LiveDeviceOptions live;
  live.configuration = {.base_qp = options.qp, .keyframe_fps = options.keyframe_fps};
  if (options.flow_grid > 0) {
    flow = WithGrid(flow, options.flow_grid);
  } else {
    live.flow_governor.emplace();
  }
  const SystemClock clock;
  DeviceSession session(device, MakeDisFlow(flow), MakeVideoEncoder, &clock);
  LoopSource source(clip, seconds);
  const double before = ProcessCpuMilliseconds() - server.CpuMilliseconds();
  LiveDevice runner(
      live, &session, &source, [&]() -> Result<std::unique_ptr<Link>> { return server.Connect(); },
      &collector);
  STAC_ASSIGN_OR_RETURN(collector.totals, runner.Run(stop_requested));
  STAC_RETURN_IF_ERROR(collector.totals.outcome);
  collector.cpu_ms = ProcessCpuMilliseconds() - server.CpuMilliseconds() - before;
  return collector;
}

struct Reference {
  double encoder_ms = 0;  // processor time
  double flow_ms = 0;
  int64_t bytes = 0;
};

// The plain encoder (CRF with its own adaptive quantization) on the same keyframes, and the same
// flow.
Result<Reference> RunReference(const Options& options, const Clip& clip, const Collector& run) {
  EncoderOptions encoder = options.device.encoder;
  encoder.width = clip.info.width;
  encoder.height = clip.info.height;
  encoder.fps = clip.info.fps;
  encoder.color = clip.info.color;
  encoder.mode = RateMode::kCrf;
  for (const KeyframeRecord& keyframe : run.keyframes) encoder.crf += keyframe.mean_qp;
  encoder.crf = run.keyframes.empty()
                    ? options.qp
                    : (encoder.crf - EncoderOptions{}.crf) / double(run.keyframes.size());
  const auto frame_of = [&](FrameId id) -> const Frame& {
    return clip.frames[static_cast<size_t>(PlaceInLoop(id, int(clip.frames.size())))];
  };
  Reference reference;
  double start = ProcessCpuMilliseconds();
  STAC_ASSIGN_OR_RETURN(std::unique_ptr<VideoEncoder> plain, MakeVideoEncoder(encoder));
  for (const KeyframeRecord& keyframe : run.keyframes) {
    STAC_ASSIGN_OR_RETURN(const EncodedFrame coded,
                          plain->Encode(frame_of(keyframe.frame), nullptr, keyframe.idr));
    reference.bytes += static_cast<int64_t>(coded.access_unit.size());
  }
  reference.encoder_ms = ProcessCpuMilliseconds() - start;
  start = ProcessCpuMilliseconds();
  auto flow = MakeDisFlow(options.flow_grid > 0 ? WithGrid({}, options.flow_grid) : FlowOptions{});
  FlowField field;
  for (const FrameRecord& record : run.frames) {
    if (record.flow_grid > 0) flow->SetGrid(record.flow_grid);
    flow->Next(frame_of(record.frame), field);
  }
  reference.flow_ms = ProcessCpuMilliseconds() - start;
  return reference;
}

template <typename Records, typename Value>
double MedianOf(const Records& records, Value value) {
  std::vector<double> values;
  for (const auto& record : records) values.push_back(value(record));
  return Median(std::move(values));
}

// All rounds as one.
nlohmann::ordered_json Figures(const Options& options, const Clip& clip,
                               const std::vector<Collector>& runs,
                               const std::vector<Reference>& references) {
  std::vector<FrameRecord> frames;
  std::vector<KeyframeRecord> keyframes;
  std::vector<FeedbackReport> feedback;
  std::vector<double> latency, fps, ratios, cpu, encoder, flow, bytes;
  int64_t dropped = 0;
  for (size_t i = 0; i < runs.size(); ++i) {
    const Collector& run = runs[i];
    frames.insert(frames.end(), run.frames.begin(), run.frames.end());
    keyframes.insert(keyframes.end(), run.keyframes.begin(), run.keyframes.end());
    feedback.insert(feedback.end(), run.feedback.begin(), run.feedback.end());
    for (const FrameRecord& record : run.frames) latency.push_back(record.label_latency_ms);
    const auto count = static_cast<double>(run.frames.size());
    dropped += run.totals.dropped;
    fps.push_back(run.Fps());
    cpu.push_back(run.cpu_ms / count);
    encoder.push_back(references[i].encoder_ms / count);
    flow.push_back(references[i].flow_ms / count);
    ratios.push_back(run.cpu_ms / (references[i].encoder_ms + references[i].flow_ms));
    bytes.push_back(static_cast<double>(run.totals.video_bytes) /
                    static_cast<double>(references[i].bytes));
  }
  const auto stage = [&](double FrameStages::*time) {
    return Rounded(MedianOf(frames, [&](const FrameRecord& r) { return r.stages.*time; }));
  };
  const std::string name = options.codec == "h265" ? "x265" : "x264";
  return {{"size", options.size},
          {"codec", options.codec},
          {"source", clip.info.name},
          {"frames", frames.size()},
          {"keyframes", keyframes.size()},
          {"dropped", dropped},
          {"fps", Rounded(Median(fps))},
          {"label_latency_ms",
           {{"p50", Rounded(Median(latency))},
            {"p99", Rounded(Percentile(latency, 99))},
            {"max", Rounded(Percentile(latency, 100))}}},
          {"stage_ms",
           {{"flow", stage(&FrameStages::flow_ms)},
            {"chain", stage(&FrameStages::chain_ms)},
            {"map", stage(&FrameStages::map_ms)},
            {"absorb", Rounded(MedianOf(feedback, [](const auto& r) { return r.absorb_ms; }))},
            {"plan", Rounded(MedianOf(keyframes, [](const auto& r) { return r.plan_ms; }))},
            {"encode", Rounded(MedianOf(keyframes, [](const auto& r) { return r.encode_ms; }))}}},
          {"flow_grid",
           options.flow_grid > 0
               ? options.flow_grid
               : MedianOf(frames, [](const auto& r) { return static_cast<double>(r.flow_grid); })},
          {"cpu_ms_per_frame", Rounded(Median(cpu))},
          {"reference_cpu_ms_per_frame",
           {{name, Rounded(Median(encoder))}, {"flow", Rounded(Median(flow))}}},
          {"bytes_over_reference", Rounded(Median(bytes))},
          {"ratio_to_" + name + "_plus_flow", Rounded(Median(ratios))},
          {"ratio_min", Rounded(*std::min_element(ratios.begin(), ratios.end()))},
          {"ratio_max", Rounded(*std::max_element(ratios.begin(), ratios.end()))}};
}

Status RunBench(Options options) {
  options.device.encoder.codec = *VideoCodecFromName(options.codec);
  if (options.codec == "h264") options.device.encoder.extra = "psy=1";
  STAC_ASSIGN_OR_RETURN(const Clip clip, LoadClip(options));
  ReplayServer server(clip.labels, std::max(clip.class_count, 2),
                      static_cast<Micros>(options.answer_ms * 1000));
  std::vector<Collector> runs;
  std::vector<Reference> references;
  // Round 0 warms up and lets the stand-in code its answers; it does not count.
  for (int round = 0; round <= options.rounds && !stop_requested; ++round) {
    spdlog::info("{}: {:g} s of video", round == 0 ? "warming up" : fmt::format("round {}", round),
                 options.seconds);
    STAC_ASSIGN_OR_RETURN(Collector run, RunPipeline(options, clip, server, options.seconds));
    if (round == 0) continue;
    STAC_ASSIGN_OR_RETURN(const Reference reference, RunReference(options, clip, run));
    runs.push_back(std::move(run));
    references.push_back(reference);
  }
  if (stop_requested) return Fail("interrupted; nothing was measured to the end");
  PrintFigures(Figures(options, clip, runs, references), options.json);
  return OkStatus();
}

}  // namespace

void AddBenchDevice(CLI::App& bench) {
  auto options = std::make_shared<Options>();
  CLI::App* command = AddCommand(
      bench, "device",
      "The device's pipeline in real time, against the plain encoder on the same keyframes and the "
      "flow.",
      "  stac bench device --size 2048x1024 --json\n"
      "  stac bench device --input street.mp4 --size 1280x720 --labels out/labels\n"
      "The server is a stand-in in this process that answers with recorded labels; its time does\n"
      "not count. Latencies are wall time: leave the machine to it. The ratio is of processor\n"
      "time, side by side, the median over the rounds.\n",
      [options] { return RunBench(*options); });
  options->device.matrices = "flat";
  command->add_option("--size", options->size, "Of the frames")->capture_default_str();
  command->add_option("--input", options->input,
                      "Video or image folder (default: the synthetic "
                      "street)");
  command->add_option("--labels", options->labels,
                      "Recorded answers: 000000.png and so on, as stac device --labels writes "
                      "them (default: the video's own labels, or drawn ones)");
  command->add_option("--fps", options->fps, "Frames per second")
      ->check(CLI::Range(1.0, 240.0))
      ->capture_default_str();
  command->add_option("--keyframe-fps", options->keyframe_fps, "Keyframes per second")
      ->check(CLI::Range(0.1, 240.0))
      ->capture_default_str();
  command->add_option("--seconds", options->seconds, "Of video in a round")
      ->check(CLI::Range(1.0, 3600.0))
      ->capture_default_str();
  command->add_option("--rounds", options->rounds, "Rounds that count")
      ->check(CLI::Range(1, 100))
      ->capture_default_str();
  command
      ->add_option("--clip-frames", options->clip_frames,
                   "Frames kept in memory, played forwards and backwards")
      ->check(CLI::Range(2, 1000))
      ->capture_default_str();
  command->add_option("--answer-ms", options->answer_ms, "Time until the stand-in answers")
      ->check(CLI::Range(0.0, 10000.0))
      ->capture_default_str();
  command->add_option("--qp", options->qp, "Base QP")
      ->check(CLI::Range(-20.0, 71.0))
      ->capture_default_str();
  command->add_option("--codec", options->codec, "Of both")
      ->check(CLI::IsMember({"h264", "h265"}))
      ->capture_default_str();
  command->add_option("--preset", options->device.encoder.preset, "The encoder's preset, of both")
      ->capture_default_str();
  command
      ->add_option("--encoder-threads", options->device.encoder.threads,
                   "Sliced threads of x264, or wavefronts of x265")
      ->check(CLI::Range(1, 16))
      ->capture_default_str();
  command
      ->add_option("--flow-grid", options->flow_grid,
                   "Pixels between matched patches (0: chosen by the time left)")
      ->check(CLI::IsMember({0, 2, 4, 8, 16}))
      ->capture_default_str();
  command->add_flag("--json", options->json, "Print JSON");
}

}  // namespace stac
