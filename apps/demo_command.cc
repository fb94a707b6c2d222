#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <thread>

#include "command.h"
#include "demo_evaluation.h"
#include "demo_report.h"
#include "json_text.h"
#include "network_files.h"
#include "process.h"
#include "stac/base/file.h"
#include "stac/base/log.h"
#include "stac/capture/frame_source.h"
#include "stac/wire/messages.h"

namespace stac {
namespace {

namespace fs = std::filesystem;

constexpr useconds_t kPollMicroseconds = 50'000;

// Until the demo finds a clip, it shows the synthetic street.
constexpr char kFallbackClip[] = "synthetic:640x480@10";

struct Options {
  std::string network = DefaultNetwork();
  std::string profile;
  std::string input;
  std::string out = "out/demo";
  std::string consumer = "device";
  std::string codec = "h264";
  double seconds = 20;
  double qp = 30;
  double keyframe_fps = 0;
};

// Waits until the server has written its port; fails when it ends before.
Result<int> WaitForPort(ChildProcess& server, const fs::path& port_file) {
  Stopwatch watch;
  while (watch.Milliseconds() < 120'000 && !stop_requested) {
    if (server.Poll() >= 0)
      return Fail("the server ended before it was ready; see its lines above");
    std::ifstream in(port_file);
    int port = 0;
    if (in >> port) return port;
    usleep(kPollMicroseconds);
  }
  if (stop_requested) return Fail("interrupted before the server was ready");
  return Fail("the server was not ready within two minutes");
}

// Two demos in one folder would mix what they write. Held until the process ends.
Status LockFolder(const fs::path& out) {
  const fs::path file = out / "demo.lock";
  const int lock = open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (lock < 0) return Fail("cannot write {}: {}", file.string(), std::strerror(errno));
  if (flock(lock, LOCK_EX | LOCK_NB) == 0) return OkStatus();
  close(lock);
  return Fail("another demo writes into {}: choose another --out", out.string());
}

Status Stream(const Options& options, const fs::path& out) {
  const fs::path port_file = out / "server.port";
  std::error_code error;
  fs::remove(port_file, error);
  fs::remove(out / "server.jsonl", error);  // servers append to it
  std::vector<std::string> server_arguments = {"server",    "--listen",      "127.0.0.1:0",
                                               "--network", options.network, "--port-file",
                                               port_file,   "--log",         out / "server.jsonl"};
  if (!options.profile.empty()) {
    server_arguments.insert(server_arguments.end(), {"--profile", options.profile});
  }
  // The camera has its own processor in real life; here it at least goes first.
  STAC_ASSIGN_OR_RETURN(ChildProcess server, ChildProcess::Start(server_arguments, 5));
  STAC_ASSIGN_OR_RETURN(const int port, WaitForPort(server, port_file));
  fs::remove(port_file, error);

  STAC_ASSIGN_OR_RETURN(ChildProcess device,
                        ChildProcess::Start({"device",
                                             "--server",
                                             fmt::format("127.0.0.1:{}", port),
                                             "--input",
                                             options.input,
                                             "--seconds",
                                             fmt::format("{}", options.seconds),
                                             "--qp",
                                             fmt::format("{}", options.qp),
                                             "--keyframe-fps",
                                             fmt::format("{}", options.keyframe_fps),
                                             "--consumer",
                                             options.consumer,
                                             "--codec",
                                             options.codec,
                                             "--labels",
                                             out / "labels",
                                             "--stream",
                                             out / ("video." + options.codec),
                                             "--plan",
                                             out / "plan.jsonl",
                                             "--log",
                                             out / "device.jsonl",
                                             "--summary",
                                             out / "summary.json"}));
  // Who ends the demo ends the device, which then says goodbye.
  while (device.Poll() < 0) {
    if (stop_requested) device.Stop();
    usleep(kPollMicroseconds);
  }
  const int device_code = device.Wait();
  server.Stop();
  const int server_code = server.Wait();
  if (device_code != 0)
    return Fail("the device ended with code {}; see its lines above", device_code);
  if (server_code != 0)
    return Fail("the server ended with code {}; see its lines above", server_code);
  return OkStatus();
}

// Those of an earlier demo, which may have had more frames.
Status RemoveOldLabels(const fs::path& out) {
  const fs::path folder = out / "labels";
  std::error_code error;
  if (!fs::exists(folder, error)) return OkStatus();
  if (!fs::exists(out / "device.jsonl", error)) {
    return Fail("{} is there already and not of a demo: choose another --out", folder.string());
  }
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    const std::string name = entry.path().stem().string();
    const bool numbered =
        std::all_of(name.begin(), name.end(), [](unsigned char c) { return std::isdigit(c) != 0; });
    if (numbered && entry.path().extension() == ".png") fs::remove(entry.path(), error);
  }
  return OkStatus();
}

Status RunDemo(Options options) {
  if (options.network.empty()) {
    return Fail("no network: name a TorchScript file or one of our weight files with --network");
  }
  if (options.input.empty()) {
    spdlog::warn("no clip given: showing the synthetic street scene");
    options.input = kFallbackClip;
  }
  const fs::path out = options.out;
  // Fail on a bad input or network before two processes are started.
  STAC_ASSIGN_OR_RETURN(std::unique_ptr<FrameSource> source, OpenSource(options.input));
  source.reset();
  STAC_RETURN_IF_ERROR(MakeFolder(out));
  STAC_RETURN_IF_ERROR(LockFolder(out));
  STAC_RETURN_IF_ERROR(RemoveOldLabels(out));

  spdlog::info("1/3 streaming {} s of {} (server and device, SRT on loopback)", options.seconds,
               options.input);
  STAC_RETURN_IF_ERROR(Stream(options, out));
  if (stop_requested) return Fail("interrupted; the files of this run are in {}", out.string());

  spdlog::info("2/3 comparing with the network on raw frames");
  STAC_ASSIGN_OR_RETURN(const Bytes summary_bytes, ReadFile(out / "summary.json"));
  auto summary = nlohmann::ordered_json::parse(AsText(summary_bytes), nullptr, false);
  if (!summary.is_object())
    return Fail("{} was not written properly", (out / "summary.json").string());
  STAC_ASSIGN_OR_RETURN(const DemoEvaluation evaluation,
                        EvaluateDemo({.input = options.input,
                                      .network = options.network,
                                      .profile = options.profile,
                                      .out = out,
                                      .codec = *VideoCodecFromName(options.codec),
                                      .base_qp = options.qp,
                                      .frames = summary["frames"].get<int64_t>()}));
  const auto rounded = [](double share) { return std::round(share * 1e5) / 1e5; };
  summary["pa"] = rounded(evaluation.pixel_accuracy);
  summary["miou"] = rounded(evaluation.mean_iou);
  summary["network"] = evaluation.network;
  summary["input"] = options.input;
  STAC_RETURN_IF_ERROR(WriteFile(out / "summary.json", JsonText(summary) + "\n"));

  spdlog::info("3/3 writing the report");
  STAC_RETURN_IF_ERROR(WriteDemoReport(out, summary, evaluation));

  fmt::print("{}\n", JsonText(summary));
  fmt::print(
      "\nLabels for {} frames at {:.1f} kb/s; pixel accuracy {:.2f} %, mIoU {:.2f} % against "
      "the network on raw frames.\nOpen {}\n",
      summary["frames"].get<int64_t>(),
      summary["video_kbps"].get<double>() + summary["label_kbps"].get<double>() +
          summary["feedback_kbps"].get<double>(),
      100 * evaluation.pixel_accuracy, 100 * evaluation.mean_iou, (out / "report.html").string());
  return OkStatus();
}

}  // namespace

void AddDemoCommand(CLI::App& app) {
  auto options = std::make_shared<Options>();
  CLI::App* command =
      AddCommand(app, "demo", "Stream a clip between two processes, measure, and write a report.",
                 "  stac demo --input street.mp4 --seconds 10\n"
                 "  stac demo --network deeplab.pt --input /data/drive/images --qp 34\n",
                 [options] { return RunDemo(*options); });
  command->add_option("--input", options->input, "File, URL or image folder (not a live camera)");
  command->add_option("--network", options->network, "TorchScript (.pt) or own weights (.stacnet)")
      ->capture_default_str();
  command->add_option("--profile", options->profile, "Made by stac calibrate");
  command->add_option("--seconds", options->seconds, "Of video")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command->add_option("--out", options->out, "Folder for the results")->capture_default_str();
  command->add_option("--qp", options->qp, "Base QP: the quality knob, lower is better")
      ->check(CLI::Range(-20.0, 71.0))
      ->capture_default_str();
  command
      ->add_option("--keyframe-fps", options->keyframe_fps,
                   "Keyframes per second (0: as many as the server processes)")
      ->check(CLI::Range(0.0, kMaxFps));
  command->add_option("--consumer", options->consumer, "Who needs the labels of every frame")
      ->check(CLI::IsMember({"device", "server"}))
      ->capture_default_str();
  command
      ->add_option("--codec", options->codec, "h264, or h265: fewer bits for more processor time")
      ->check(CLI::IsMember({"h264", "h265"}))
      ->capture_default_str();
}

}  // namespace stac
