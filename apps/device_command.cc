#include <memory>

#include "command.h"
#include "device_adaptation.h"
#include "device_files.h"
#include "stac/base/file.h"
#include "stac/base/log.h"
#include "stac/base/progress.h"
#include "stac/capture/frame_source.h"
#include "stac/device/live_device.h"
#include "stac/flow/optical_flow.h"
#include "stac/quant/budget.h"
#include "stac/transport/srt_link.h"
#include "video_encoder.h"

namespace stac {
namespace {

// Before the tuner knows the link.
constexpr double kStartKeyframeFps = 5;

// Psychovisual decisions save bits here, too (docs/tried.md).
constexpr char kX264Settings[] = "psy=1";

struct Options {
  std::string server = "127.0.0.1:7331";
  std::string input;
  std::string name = "camera";
  std::string profile;
  std::string consumer = "device";
  std::string flow = "ultrafast";
  std::string codec = "h264";
  std::string x264, x265;
  double seconds = 0;
  double qp = 30;
  double budget = 0;
  double scale = 1;
  bool wait = false;
  bool no_pace = false;
  bool json = false;
  bool check = false;
  bool configured = false;  // a quality, a keyframe rate or a scale was given
  DeviceAdaptation adaptation;
  std::string summary;
  SourceOptions source;
  int flow_downscale = 0;
  int flow_grid = 0;
  DeviceOptions device;
  DeviceFiles files;
};

Status RunDevice(Options options) {
  options.source.stop = &stop_requested;
  STAC_ASSIGN_OR_RETURN(std::unique_ptr<FrameSource> source,
                        OpenSource(options.input, options.source));
  const SourceInfo& info = source->info();
  DeviceOptions& device = options.device;
  device.name = options.name;
  device.width = info.width;
  device.height = info.height;
  device.fps = info.fps;
  device.color = info.color;
  const Hello hello{
      .device = device.name, .width = device.width, .height = device.height, .fps = device.fps};
  if (const Status status = Validate(hello); !status) {
    return Fail("{}: choose another --name, or an --input of another size or frame rate",
                status.error().message);
  }
  device.server_consumes = options.consumer == "server";
  device.coarse_labels = device.server_consumes && options.files.labels.empty();
  device.hash_reconstruction = options.check;
  device.encoder.codec = *VideoCodecFromName(options.codec);
  const bool h265 = device.encoder.codec == VideoCodec::kH265;
  if (h265 ? !options.x264.empty() : !options.x265.empty()) {
    return Fail("--x264 goes with --codec h264, and --x265 with --codec h265");
  }
  device.encoder.extra = h265 ? options.x265 : options.x264;
  if (!h265 && device.encoder.extra.empty()) device.encoder.extra = kX264Settings;
  if (!options.profile.empty()) {
    STAC_ASSIGN_OR_RETURN(device.profile, ReadProfile(options.profile));
  }
  if (options.budget != 0) {
    if (!(options.budget > 0)) return Fail("--budget must be above 0, not {:g}", options.budget);
    if (!device.profile) return Fail("--budget needs the network's --profile; or use --qp");
    const RegionGrid regions = KeyframePlanner(device.planner, info.width, info.height).regions();
    options.qp = BaseQpOfBudget(*device.profile, options.budget, regions);
    if (const Status status = Validate(Configuration{.base_qp = options.qp}); !status) {
      return Fail("--budget {:g} is out of reach: {}", options.budget, status.error().message);
    }
  }
  const Configuration configuration{
      .base_qp = options.qp, .keyframe_fps = device.schedule.keyframe_fps, .scale = options.scale};
  FlowOptions flow;
  if (options.flow_grid > 0) flow = WithGrid(flow, options.flow_grid);
  if (options.flow_downscale > flow.grid) {
    return Fail("--flow-grid {} needs a --flow-downscale of {} at most", flow.grid, flow.grid);
  }
  if (options.flow_downscale > 0) flow.downscale = options.flow_downscale;
  STAC_ASSIGN_OR_RETURN(flow.preset, ParseFlowPreset(options.flow));
  if (options.no_pace && options.adaptation.mode.empty()) options.adaptation.mode = "off";
  STAC_ASSIGN_OR_RETURN(
      const std::unique_ptr<Adaptation> adaptation,
      MakeAdaptation(
          options.adaptation, options.configured,
          {.base_qp = options.qp,
           .keyframe_fps = options.configured ? device.schedule.keyframe_fps : kStartKeyframeFps,
           .scale = options.scale},
          info.fps));

  SrtOptions srt;
  srt.stream_id = options.name;
  srt.stop = &stop_requested;
  STAC_ASSIGN_OR_RETURN(srt.passphrase, PassphraseFromEnvironment());

  const bool labels_on_stdout = options.files.labels == "-";
  if (options.json && labels_on_stdout) {
    return Fail("--json and --labels - both go to standard output: use --summary FILE");
  }
  STAC_ASSIGN_OR_RETURN(std::unique_ptr<DeviceRecorder> recorder,
                        DeviceRecorder::Create(options.files, !options.no_pace, &stop_requested));
  SystemClock clock;
  DeviceSession session(device, MakeDisFlow(flow), MakeVideoEncoder, &clock);
  LiveDeviceOptions live_options{.configuration = configuration,
                                 .seconds = options.seconds,
                                 .pace = !options.no_pace,
                                 .keep_trying = options.wait,
                                 .adaptation = adaptation.get()};
  if (options.flow_grid == 0) live_options.flow_governor.emplace();
  LiveDevice live(
      live_options, &session, source.get(), [&] { return ConnectSrt(options.server, srt); },
      recorder.get());
  spdlog::info("{}: {}x{} at {:.4g} frames/s, {}", info.name, info.width, info.height, info.fps,
               ToString(info.color));
  STAC_ASSIGN_OR_RETURN(const DeviceTotals totals, live.Run(stop_requested));
  ShowOnStderr("\n");
  const Status written = recorder->Finish();
  // Whatever ended the run, what was measured until then is told.
  const std::string summary = recorder->Summary(totals, info.fps);
  if (!options.summary.empty()) STAC_RETURN_IF_ERROR(WriteFile(options.summary, summary + "\n"));
  if (options.json) fmt::print("{}\n", summary);
  spdlog::info("{} frames, {} keyframes, {:.1f} kb/s of video", totals.frames, totals.keyframes,
               totals.seconds > 0 ? totals.video_bytes * 8e-3 / totals.seconds : 0.0);
  STAC_RETURN_IF_ERROR(totals.outcome);
  STAC_RETURN_IF_ERROR(written);
  if (options.check && totals.errors > 0) {
    return Fail("--check: the server could not use {} of {} keyframes; see the warnings above",
                totals.errors, totals.keyframes);
  }
  return OkStatus();
}

}  // namespace

void AddDeviceCommand(CLI::App& app) {
  auto options = std::make_shared<Options>();
  CLI::App* command = AddCommand(
      app, "device", "Send a camera's or file's video; deliver labels for every frame.",
      "  stac device --input street.mp4 --server edge.example:7331 --labels out/labels\n"
      "  stac device --input /dev/video0 --keyframe-fps 5 --labels - | my_consumer\n"
      "  STAC_PASSPHRASE_FILE=secret stac device --input rtsp://camera/1 --consumer server\n\n"
      "With --consumer server the server keeps labels if it has --labels FOLDER; those that\n"
      "come down are coarse, only to tell how they move, unless --labels wants them here, too.\n"
      "A passphrase is the first line of its file, 10 to 79 characters, the same at both ends.",
      [options] { return RunDevice(*options); });
  DeviceOptions& device = options->device;
  const auto configured = [options](const std::string&) { options->configured = true; };
  device.matrices = "flat";
  command
      ->add_option("--input", options->input,
                   "File, URL, camera, image folder, or synthetic:WxH@FPS")
      ->required();
  command->add_option("--server", options->server, "HOST:PORT")->capture_default_str();
  command->add_option("--seconds", options->seconds, "Stop after this much video (0: at its end)")
      ->check(CLI::NonNegativeNumber);
  command->add_option("--qp", options->qp, "Base QP: the quality knob, lower is better")
      ->check(CLI::Range(-20.0, 71.0))
      ->each(configured)
      ->capture_default_str();
  command
      ->add_option("--budget", options->budget,
                   "The same knob as the paper's B, the allowed loss increment of a frame")
      ->each(configured);
  command
      ->add_option("--keyframe-fps", device.schedule.keyframe_fps,
                   "Keyframes per second (0: as many as the server processes)")
      ->check(CLI::Range(0.0, kMaxFps))
      ->each(configured);
  command
      ->add_option("--scale", options->scale,
                   "Code keyframes at this share of their width and height; labels keep the full "
                   "size")
      ->check(CLI::Range(kMinScale, 1.0))
      ->each(configured)
      ->capture_default_str();
  command
      ->add_option("--adapt", options->adaptation.mode,
                   "Choose quality, keyframe rate and (where the tuner or table has it) scale once "
                   "a second from the bandwidth and the content: tuner, table or off (default: "
                   "tuner, unless --qp, --budget, --keyframe-fps, --scale or --no-pace is given)")
      ->check(CLI::IsMember({"tuner", "table", "off"}));
  command->add_option("--tuner", options->adaptation.tuner,
                      "Weights of the tuner (default: those beside the program)");
  command->add_option("--table", options->adaptation.table,
                      "For --adapt table: accuracy-bitrate profile, or stac sweep's segments.csv");
  command
      ->add_option("--share", options->adaptation.share,
                   "Of the bandwidth that keyframes are planned with when adapting: more makes "
                   "finer pictures, less fresher labels")
      ->check(CLI::Range(0.1, 1.0))
      ->capture_default_str();
  command
      ->add_option("--spare", options->adaptation.spare,
                   "When adapting, send up to this times the planned keyframes while the link has "
                   "room: fresher labels for what is left of the bandwidth (1: as planned)")
      ->check(CLI::Range(1.0, 100.0))
      ->capture_default_str();
  command
      ->add_option(
          "--coarser", options->adaptation.coarser,
          "When adapting, code a keyframe up to this much coarser (QP) than planned where\n"
          "the last ones were so large that the next ones would not fit the link")
      ->check(CLI::Range(0.0, 20.0))
      ->capture_default_str();
  command->add_option("--consumer", options->consumer, "Who needs the labels of every frame")
      ->check(CLI::IsMember({"device", "server"}))
      ->capture_default_str();
  command->add_option("--labels", options->files.labels,
                      "Folder for a PNG per frame, or - for PNGs on standard output, each after "
                      "its length (32 bits, little-endian)");
  command->add_option("--stream", options->files.stream, "File for the coded stream");
  command->add_option("--plan", options->files.plan, "File for the planned QP maps (JSON lines)");
  command->add_option("--log", options->files.log, "File for a JSON line per frame (overwritten)");
  command->add_option("--summary", options->summary, "File for the closing summary (JSON)");
  command->add_flag("--json", options->json, "Print the closing summary as JSON");
  command->add_option("--name", options->name, "Of this device, for the server's log")
      ->capture_default_str();
  command->add_option("--profile", options->profile,
                      "Refuse servers with another profile (default: take the server's)");
  command->add_flag("--wait", options->wait, "Wait for a server that is not there yet");
  command->add_flag("--no-pace", options->no_pace,
                    "Play files frame by frame, each answered before the next");
  command->add_flag("--check", options->check,
                    "Debug: the server compares its picture with the encoder's, bit for bit;\n"
                    "the run fails if it could not use a keyframe");
  command->add_option("--folder-fps", options->source.folder_fps, "Frames/s of an image folder")
      ->check(CLI::Range(0.1, 1000.0))
      ->capture_default_str();
  command->add_option("--max-width", options->source.max_width, "Scale larger frames down")
      ->check(CLI::NonNegativeNumber);
  command->add_option("--max-height", options->source.max_height, "Scale larger frames down")
      ->check(CLI::NonNegativeNumber);
  command
      ->add_option("--region", device.planner.region_size,
                   "Region size in pixels (0: 16 for small frames, 32 for others)")
      ->check(CLI::IsMember({0, 16, 32, 48, 64}))
      ->capture_default_str();
  command->add_option("--aq", device.planner.aq_strength, "Strength of variance AQ in the plan")
      ->check(CLI::Range(0.0, 3.0))
      ->capture_default_str();
  command->add_option("--matrices", device.matrices, "Scaling matrices")
      ->check(CLI::IsMember({"jvt", "profile", "flat"}))
      ->capture_default_str();
  command
      ->add_option("--first-frame-offset", device.planner.first_frame_offset,
                   "QP of the first frame, relative to the base QP")
      ->check(CLI::Range(-12.0, 12.0))
      ->capture_default_str();
  command
      ->add_option("--codec", options->codec,
                   "h264, or h265: fewer bits for more processor time (docs/results.md)")
      ->check(CLI::IsMember({"h264", "h265"}))
      ->capture_default_str();
  command->add_option("--x264", options->x264, "More x264 settings, key=value:key=value")
      ->default_str(kX264Settings);
  command->add_option("--x265", options->x265, "More x265 settings, with --codec h265");
  command->add_option("--preset", device.encoder.preset, "The encoder's preset")
      ->capture_default_str();
  command
      ->add_option("--encoder-threads", device.encoder.threads,
                   "Sliced threads of x264, or wavefronts of x265")
      ->check(CLI::Range(1, 16))
      ->capture_default_str();
  command->add_option("--flow", options->flow, "Optical flow preset")
      ->check(CLI::IsMember({"ultrafast", "fast", "medium"}))
      ->capture_default_str();
  command
      ->add_option("--flow-downscale", options->flow_downscale,
                   "Optical flow at 1/N size (0: 4, or the grid if that is finer)")
      ->check(CLI::IsMember({0, 1, 2, 4}))
      ->capture_default_str();
  command
      ->add_option("--flow-grid", options->flow_grid,
                   "Pixels between matched patches (0: 4, coarser while time is short)")
      ->check(CLI::IsMember({0, 2, 4, 8, 16}))
      ->capture_default_str();
  command->add_flag("--refine", device.refine_residual, "Adjust levels to the residual, eq. (7)");
}

}  // namespace stac
