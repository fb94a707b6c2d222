#include <atomic>
#include <bit>
#include <filesystem>
#include <fstream>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <utility>

#include "command.h"
#include "label_folders.h"
#include "network_files.h"
#include "stac/base/file.h"
#include "stac/base/log.h"
#include "stac/capture/image_io.h"
#include "stac/codec/label_coder.h"
#include "stac/server/live_server.h"
#include "stac/transport/srt_link.h"

namespace stac {
namespace {

struct Options {
  std::string listen = "0.0.0.0:7331";
  std::string network = DefaultNetwork();
  std::string profile;
  std::string classes;
  std::string rule = "power";
  std::string objective = "loss";
  std::vector<std::string> class_weights;
  std::string log;
  std::string labels;
  std::string port_file;
  int threads = 0;
  std::string precision = "auto";
  int gradient_downscale = 1;
  int gradient_every = 1;
  int label_grid = 0;
  double max_keyframe_fps = 0;
  ServerOptions server;
  LiveServerOptions live;
};

// Of a keyframe that was not answered only what is known.
nlohmann::ordered_json LogLine(const ServedKeyframe& served) {
  const ServerStats& stats = served.stats;
  const bool failed = !stats.error.empty();
  nlohmann::ordered_json line = {
      {"device", served.device},
      {"frame", stats.frame},
      {"outcome", failed ? "failed" : (stats.dropped() ? "dropped" : "answered")}};
  if (failed) line["error"] = stats.error;
  if (served.left_out > 0) line["left_out"] = served.left_out;
  if (failed || stats.dropped()) return line;
  const auto round = [](double ms) { return std::round(ms * 100) / 100; };
  line["video_bytes"] = served.video_bytes;
  line["feedback_bytes"] = served.feedback_bytes;
  line["processing_ms"] = round(stats.processing_ms);
  line["decode_ms"] = round(stats.decode_ms);
  line["forward_ms"] = round(stats.forward_ms);
  line["gradient_ms"] = round(stats.gradient_ms);
  line["queue"] = stats.queue;
  return line;
}

ObjectiveKind ObjectiveFromName(const std::string& name) {
  if (name == "projection") return ObjectiveKind::kProjection;
  return name == "margin" ? ObjectiveKind::kMargin : ObjectiveKind::kFakeLabelLoss;
}

Status RunServer(const Options& options) {
  if (options.network.empty()) {
    return Fail("no network: name a TorchScript file or one of our weight files with --network");
  }
  STAC_ASSIGN_OR_RETURN(
      std::unique_ptr<Segmenter> segmenter,
      LoadSegmenter(options.network, {.threads = options.threads,
                                      .precision = *PrecisionFromName(options.precision),
                                      .gradient_downscale = options.gradient_downscale}));
  const NetworkInfo network = segmenter->info();
  STAC_ASSIGN_OR_RETURN(Profile profile, LoadProfile(options.profile, options.network, network));

  ClassList classes = DefaultClasses(network.class_count);
  if (!options.classes.empty()) {
    STAC_ASSIGN_OR_RETURN(classes, ReadClasses(options.classes));
    if (static_cast<int>(classes.size()) != network.class_count) {
      return Fail("{} names {} classes, but the network has {}", options.classes, classes.size(),
                  network.class_count);
    }
  }
  ServerOptions server = options.server;
  server.rule = options.rule == "paper" ? AllocationRule::kPaper : AllocationRule::kPower;
  server.objective.kind = ObjectiveFromName(options.objective);
  server.max_keyframe_fps = options.max_keyframe_fps;
  server.gradient_every = options.gradient_every;
  server.label_grid = options.label_grid;
  STAC_ASSIGN_OR_RETURN(server.objective.class_weights,
                        ParseClassWeights(options.class_weights, classes));

  SrtOptions srt;
  STAC_ASSIGN_OR_RETURN(srt.passphrase, PassphraseFromEnvironment());
  STAC_ASSIGN_OR_RETURN(std::unique_ptr<SrtListener> listener, ListenSrt(options.listen, srt));

  std::error_code error;
  if (std::filesystem::is_regular_file(options.port_file, error)) {
    std::filesystem::remove(options.port_file, error);  // of an earlier run
  }
  std::ofstream log;
  if (!options.log.empty()) {
    log.open(options.log, std::ios::app);  // supervisors start servers anew
    if (!log) return Fail("cannot write the log {}: check the path and permissions", options.log);
  }
  if (!options.labels.empty()) STAC_RETURN_IF_ERROR(MakeFolder(options.labels));
  LabelFolders folders(options.labels);
  std::once_flag labels_said;
  std::atomic<int64_t> labels_lost{0};
  LiveServer live(
      server, profile, std::move(segmenter), MakeVideoDecoder,
      [&](const ServedKeyframe& served) {
        if (!log.is_open() || !log) return;
        // A reason may come from a library, in any bytes.
        constexpr auto kReplace = nlohmann::json::error_handler_t::replace;
        if (!(log << LogLine(served).dump(-1, ' ', false, kReplace) << '\n' << std::flush)) {
          spdlog::error("the log {} cannot be written any more: disk full?", options.log);
        }
      },
      [&](const std::string& device, int64_t connection, FrameId frame, const LabelMap& labels) {
        if (options.labels.empty()) {
          std::call_once(labels_said, [&] {
            spdlog::warn("{} sends labels, which nobody keeps: name a folder with --labels",
                         device);
          });
          return;
        }
        Status status;
        if (const auto folder = folders.Of(device, connection)) {
          status = WritePng(fmt::format("{}/{:06}.png", *folder, frame), labels);
        } else {
          status = tl::unexpected<Error>(folder.error());
        }
        if (status) return;
        // Said ever more rarely: the log may lie on the same full disk.
        const auto lost = static_cast<uint64_t>(++labels_lost);
        if (std::has_single_bit(lost))
          spdlog::error("{} ({} frames' labels so far)", status.error().message, lost);
      },
      options.live);
  if (!options.port_file.empty()) {
    STAC_RETURN_IF_ERROR(WriteFile(options.port_file, fmt::format("{}\n", listener->port())));
  }
  spdlog::info("network {} ({}, {} classes, {:.2f} M parameters, {}); listening on port {}{}",
               network.name, network.hash, network.class_count, network.parameters / 1e6,
               PrecisionName(network.precision), listener->port(),
               srt.passphrase.empty() ? ", not encrypted" : ", encrypted");

  Stopwatch since_status;
  int64_t shown = -1;
  while (!stop_requested) {
    STAC_ASSIGN_OR_RETURN(std::optional<SrtPeer> peer, listener->Accept(200'000));
    if (peer) live.Add(std::move(peer->link), peer->address);
    if (since_status.Milliseconds() < 10'000) continue;
    since_status.Lap();
    const ServerStatus status = live.Status();
    if (std::exchange(shown, status.keyframes) == status.keyframes) continue;
    spdlog::info("{} devices, {} keyframes, {} waiting, {:.0f} ms each", status.devices,
                 status.keyframes, status.waiting, status.mean_processing_ms);
  }
  spdlog::info("shutting down");
  live.Drain();
  if (labels_lost > 0) {
    return Fail("labels of {} frames could not be written to {}", labels_lost.load(),
                options.labels);
  }
  if (log.is_open() && !log) return Fail("the log {} is incomplete: disk full?", options.log);
  return OkStatus();
}

}  // namespace

void AddServerCommand(CLI::App& app) {
  auto options = std::make_shared<Options>();
  CLI::App* command = AddCommand(
      app, "server", "Segment what devices send; answer with labels and levels.",
      "  stac server --listen 0.0.0.0:7331\n"
      "  STAC_PASSPHRASE_FILE=secret stac server --network deeplab.pt --class-weight person=4\n",
      [options] { return RunServer(*options); });
  command->add_option("--listen", options->listen, "Address and port; port 0 takes a free one")
      ->capture_default_str();
  command->add_option("--network", options->network, "TorchScript (.pt) or own weights (.stacnet)")
      ->capture_default_str();
  command->add_option("--profile", options->profile,
                      "Made by stac calibrate (default: NETWORK.profile.json if it is there)");
  command->add_option(
      "--classes", options->classes,
      "JSON list of names and colours: [{\"name\": \"road\", \"color\": [128, 64, 128]}, ...]");
  command->add_option("--rule", options->rule, "How levels follow from sensitivity")
      ->check(CLI::IsMember({"power", "paper"}))
      ->capture_default_str();
  command
      ->add_option("--objective", options->objective,
                   "What the backward pass differentiates: the loss against the network's own\n"
                   "labels, random projections of its probabilities, or the margin")
      ->check(CLI::IsMember({"loss", "projection", "margin"}))
      ->capture_default_str();
  command->add_option("--class-weight", options->class_weights,
                      "Protect a class: NAME=WEIGHT, for example person=4; repeatable");
  command
      ->add_option("--batch", options->live.max_batch,
                   "Let up to N waiting keyframes go through the network together (for GPUs)")
      ->check(CLI::Range(1, 64))
      ->capture_default_str();
  command
      ->add_option("--batch-wait", options->live.batch_wait_ms,
                   "Milliseconds that a keyframe may wait for others to come")
      ->check(CLI::Range(0.0, 1000.0))
      ->capture_default_str();
  command
      ->add_option("--network-threads", options->live.network_threads,
                   "Passes of the network at a time, of different devices' keyframes")
      ->check(CLI::Range(1, 16))
      ->capture_default_str();
  command
      ->add_option(
          "--precision", options->precision,
          "Numbers that the network computes with: float; half-gradient: labels as with\n"
          "float, 16 bits for the gradient; half: 16 bits, which changes some labels, on a\n"
          "CPU for .stacnet files only; auto: half-gradient on processors with AVX512_BF16")
      ->check(CLI::IsMember(PrecisionNames()))
      ->capture_default_str();
  command
      ->add_option("--gradient-downscale", options->gradient_downscale,
                   "Take the gradient at 1/N size: cheaper, a little less exact")
      ->check(CLI::IsMember({1, 2, 4}))
      ->capture_default_str();
  command
      ->add_option("--gradient-every", options->gradient_every,
                   "Take the gradient on every N-th keyframe of a device; in between it goes on\n"
                   "with its levels")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  command
      ->add_option("--label-grid", options->label_grid,
                   "Code labels at a grid of N pixels (0: 1 to 3, coarser where the video is)")
      ->check(CLI::Range(0, kMaxLabelGrid));
  command
      ->add_option("--max-keyframe-fps", options->max_keyframe_fps,
                   "Tell devices not to send more than this (0: no limit)")
      ->check(CLI::Range(0.0, kMaxFps));
  command
      ->add_option("--max-load", options->live.admission.max_load,
                   "Share of the time the network may be busy, 0.8 for example: a device is told\n"
                   "the keyframe rate that is left, or refused (0: everybody is accepted)")
      ->check(CLI::Range(0.0, 1.0));
  command
      ->add_option("--device-keyframe-fps", options->live.admission.keyframe_fps,
                   "With --max-load: keyframes per second for a device while there is room")
      ->check(CLI::Range(0.1, 240.0))
      ->capture_default_str();
  command
      ->add_option("--min-keyframe-fps", options->live.admission.min_keyframe_fps,
                   "With --max-load: refuse devices that would get less")
      ->check(CLI::Range(0.01, 240.0))
      ->capture_default_str();
  command
      ->add_option("--max-devices", options->live.max_devices,
                   "Devices at a time; further ones are refused")
      ->check(CLI::Range(1, 100'000))
      ->capture_default_str();
  command->add_option("--max-width", options->server.max_width, "Refuse devices with wider frames")
      ->check(CLI::Range(16, 8192))
      ->capture_default_str();
  command
      ->add_option("--max-height", options->server.max_height, "Refuse devices with higher frames")
      ->check(CLI::Range(16, 8192))
      ->capture_default_str();
  command->add_option("--threads", options->threads, "Of the network, at least 2 (0: all cores)")
      ->check(CLI::Range(0, 1024));
  command->add_option("--log", options->log,
                      "Append a JSON line for every keyframe to this file:\n"
                      "answered, dropped or failed (of those two at most 30 a second and device)");
  command->add_option(
      "--labels", options->labels,
      "Folder for the labels that devices send (PNG for every frame), in it one for\n"
      "each connection: the device's name and address, numbered if it is there");
  command->add_option("--port-file", options->port_file,
                      "Written with the port once devices may connect");
}

}  // namespace stac
