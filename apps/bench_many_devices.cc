#include "bench_many_devices.h"

#include <algorithm>
#include <atomic>
#include <map>
#include <memory>
#include <thread>
#include <vector>

#include "bench_commands.h"
#include "command.h"
#include "network_files.h"
#include "stac/base/log.h"
#include "stac/capture/frame_source.h"
#include "stac/codec/qp_plan.h"
#include "stac/device/connector.h"
#include "stac/device/keyframe_planner.h"
#include "stac/device/keyframe_schedule.h"
#include "stac/server/live_server.h"
#include "stac/transport/srt_link.h"

namespace stac {
namespace {

constexpr int kClipFrames = 16;
constexpr double kSourceFps = 30;
constexpr Micros kLongestWait = 20'000;
// The start, when all connect and send at once, does not count.
constexpr double kWarmUpSeconds = 2;

// What a device would send: an IDR and the keyframes after it.
Result<std::vector<EncodedFrame>> Record(const ManyDevicesOptions& options) {
  const std::string input = options.input.empty()
                                ? fmt::format("synthetic:{}x{}@30", options.width, options.height)
                                : options.input;
  const int step = std::max(1, static_cast<int>(kSourceFps / options.keyframe_fps));
  STAC_ASSIGN_OR_RETURN(std::unique_ptr<FrameSource> source,
                        OpenSource(input, {.max_frames = kClipFrames, .frame_step = step}));
  EncoderOptions encoder{.width = source->info().width,
                         .height = source->info().height,
                         .fps = options.keyframe_fps,
                         .color = source->info().color,
                         .extra = "psy=1"};
  STAC_ASSIGN_OR_RETURN(std::unique_ptr<VideoEncoder> x264, MakeX264Encoder(encoder));
  const KeyframePlanner planner({}, encoder.width, encoder.height);
  std::vector<EncodedFrame> coded;
  for (;;) {
    STAC_ASSIGN_OR_RETURN(const std::optional<Frame> frame, source->Next());
    if (!frame) break;
    const QpMap qp = planner.Plan(*frame, nullptr, 30, 30);
    STAC_ASSIGN_OR_RETURN(EncodedFrame access_unit, x264->Encode(*frame, &qp, coded.empty()));
    coded.push_back(std::move(access_unit));
  }
  if (coded.empty()) return Fail("{} has no frame", input);
  return coded;
}

struct Outcome {
  double granted_fps = 0;
  std::string not_accepted;        // why; empty: it was
  std::vector<double> latency_ms;  // of answers with labels, after the start
  int answered = 0;
  int dropped = 0;     // answered without labels: too many were waiting
  int failed = 0;      // answered with an error
  int unanswered = 0;  // given up after the schedule's time-out
};

// One recorded device, for `seconds`.
class RecordedDevice {
 public:
  RecordedDevice(const ManyDevicesOptions& options, const std::vector<EncodedFrame>& recording,
                 int number, int port)
      : options_(options), recording_(recording), number_(number), port_(port) {}

  void Run() {
    const Connector connector([&] {
      return ConnectSrt(fmt::format("127.0.0.1:{}", port_),
                        {.stream_id = fmt::format("recorded{}", number_)});
    });
    auto connection = connector.ConnectOnce({.device = fmt::format("recorded{}", number_),
                                             .width = options_.width,
                                             .height = options_.height,
                                             .fps = kSourceFps},
                                            stop_requested);
    if (!connection) {
      outcome.not_accepted = connection.error().message;
      return;
    }
    const double limit = connection->welcome.max_keyframe_fps;
    outcome.granted_fps =
        limit > 0 ? std::min(limit, options_.keyframe_fps) : options_.keyframe_fps;
    Stream(*connection->link);
  }

  Outcome outcome;

 private:
  void Stream(Link& link) {
    KeyframeSchedule schedule({.keyframe_fps = outcome.granted_fps});
    // Cameras do not start in step.
    const auto interval = static_cast<Micros>(1e6 / kSourceFps);
    const Micros start = clock_.Now() + interval * number_ % 1'000'000;
    const Micros end = start + static_cast<Micros>((options_.seconds + kWarmUpSeconds) * 1e6);
    (void)link.Send(Serialize(Configuration{.keyframe_fps = outcome.granted_fps}), 0);
    FrameId frame = 0;
    std::map<FrameId, Micros> sent;
    const auto starting = [&](Micros now) {
      return now < start + static_cast<Micros>(kWarmUpSeconds * 1e6);
    };
    for (Micros next = start; clock_.Now() < end && link.up() && !stop_requested;) {
      while (auto received = link.Receive()) {
        if (!*received) break;
        const auto message = Parse(**received);
        if (!message) return;
        const auto* stats = std::get_if<ServerStats>(&*message);
        if (stats == nullptr || !sent.contains(stats->frame)) continue;
        if (const double granted = stats->max_keyframe_fps; granted > 0) {
          outcome.granted_fps = std::min(granted, options_.keyframe_fps);
          schedule.SetRate(outcome.granted_fps);
        }
        const Micros now = clock_.Now();
        const Micros turnaround = now - sent[stats->frame];
        sent.erase(stats->frame);
        if (stats->dropped()) {
          schedule.OnDropped(stats->frame);
          if (!starting(now)) ++outcome.dropped;
          continue;
        }
        schedule.OnAnswered(stats->frame, now, stats->processing_ms);
        if (starting(now)) continue;
        if (!stats->error.empty()) {
          ++outcome.failed;
          continue;
        }
        ++outcome.answered;
        outcome.latency_ms.push_back(static_cast<double>(turnaround) / 1000);
      }
      const Micros now = clock_.Now();
      for (const FrameId lost : schedule.ExpireUnanswered(now)) {
        sent.erase(lost);
        if (!starting(now)) ++outcome.unanswered;
      }
      if (now < next) {
        link.Wait(std::min(next - now, kLongestWait));
        continue;
      }
      next += interval;
      if (schedule.Due(next - start, kSourceFps)) {
        Send(link, frame, now);
        schedule.OnPlanned(frame, next - start, now);
        sent[frame++] = now;
      }
    }
    (void)link.Send(Serialize(Bye{.reason = "end of the recording"}), 0);
    link.Wait(kLongestWait);
    link.Close();
  }

  void Send(Link& link, FrameId frame, Micros now) const {
    const EncodedFrame& coded = recording_[frame % recording_.size()];
    (void)link.Send(Serialize(CodedFrame{.frame = frame,
                                         .capture_time = now,
                                         .idr = coded.idr,
                                         .access_unit = coded.access_unit,
                                         .held = frame}),
                    0);
  }

  const ManyDevicesOptions& options_;
  const std::vector<EncodedFrame>& recording_;
  const int number_;
  const int port_;
  const SystemClock clock_;
};

Result<nlohmann::ordered_json> Measure(const ManyDevicesOptions& options, int count,
                                       const std::vector<EncodedFrame>& recording) {
  STAC_ASSIGN_OR_RETURN(std::unique_ptr<Segmenter> segmenter,
                        LoadSegmenter(options.network, {.threads = options.threads,
                                                        .device = options.device,
                                                        .precision = options.precision}));
  STAC_ASSIGN_OR_RETURN(const Profile profile, LoadProfile("", options.network, segmenter->info()));
  STAC_ASSIGN_OR_RETURN(std::unique_ptr<SrtListener> listener, ListenSrt("127.0.0.1:0", {}));
  ServerOptions server;
  server.objective.kind = ObjectiveKind::kFakeLabelLoss;
  LiveServer live(server, profile, std::move(segmenter), MakeVideoDecoder, nullptr, nullptr,
                  options.live);
  std::vector<std::unique_ptr<RecordedDevice>> devices;
  std::vector<std::thread> threads;
  std::atomic<int> running{count};
  // One after the other, as cameras are switched on: the first waits for the network to warm up.
  std::thread starter([&] {
    for (int i = 0; i < count; ++i) {
      devices.push_back(std::make_unique<RecordedDevice>(options, recording, i, listener->port()));
    }
    for (const auto& device : devices) {
      threads.emplace_back([&running, raw = device.get()] {
        raw->Run();
        --running;
      });
      if (device == devices.front()) std::this_thread::sleep_for(std::chrono::seconds(1));
    }
  });
  Status accepted = OkStatus();
  while (running > 0 && accepted) {
    auto peer = listener->Accept(100'000);
    if (!peer) {
      accepted = tl::unexpected<Error>(peer.error());
    } else if (*peer) {
      live.Add(std::move((*peer)->link), (*peer)->address);
    }
  }
  starter.join();
  for (std::thread& thread : threads) thread.join();
  live.Drain();
  STAC_RETURN_IF_ERROR(accepted);

  std::vector<double> latency, worst, granted;
  int answered = 0, dropped = 0, failed = 0, unanswered = 0, refused = 0;
  bool all_answered = true;
  for (const auto& device : devices) {
    const Outcome& outcome = device->outcome;
    if (!outcome.not_accepted.empty()) {
      if (!outcome.not_accepted.starts_with(kRefusal)) {
        return Fail("one of {} recorded devices did not get in: {}", count, outcome.not_accepted);
      }
      spdlog::info("{}", outcome.not_accepted);
      ++refused;
      continue;
    }
    granted.push_back(outcome.granted_fps);
    answered += outcome.answered;
    dropped += outcome.dropped;
    failed += outcome.failed;
    unanswered += outcome.unanswered;
    all_answered = all_answered && outcome.answered > 0;
    latency.insert(latency.end(), outcome.latency_ms.begin(), outcome.latency_ms.end());
    worst.push_back(Percentile(outcome.latency_ms, 50));
  }
  // Of nothing there is no latency.
  const auto known = [](bool is_known, double value) {
    return is_known ? nlohmann::ordered_json(Rounded(value)) : nlohmann::ordered_json();
  };
  return nlohmann::ordered_json{
      {"devices", count},
      {"accepted", count - refused},
      {"refused", refused},
      {"granted_fps_min", granted.empty() ? 0 : *std::min_element(granted.begin(), granted.end())},
      {"answered_per_s", Rounded(answered / options.seconds)},
      {"dropped_per_s", Rounded(dropped / options.seconds)},
      {"failed_per_s", Rounded(failed / options.seconds)},
      {"unanswered_per_s", Rounded(unanswered / options.seconds)},
      {"latency_ms",
       {{"p50", known(answered > 0, Median(latency))},
        {"p99", known(answered > 0, Percentile(latency, 99))},
        {"worst_device_p50", known(all_answered && answered > 0, Percentile(worst, 100))}}}};
}

}  // namespace

Result<nlohmann::ordered_json> BenchManyDevices(const ManyDevicesOptions& options) {
  STAC_ASSIGN_OR_RETURN(const std::vector<EncodedFrame> recording, Record(options));
  auto rows = nlohmann::ordered_json::array();
  for (int count = 1;; count = std::min(2 * count, options.devices)) {
    spdlog::info("{} recorded devices, {:g} s", count, options.seconds);
    STAC_ASSIGN_OR_RETURN(auto row, Measure(options, count, recording));
    if (stop_requested) return Fail("interrupted; nothing was measured to the end");
    rows.push_back(std::move(row));
    if (count == options.devices) break;
  }
  return rows;
}

}  // namespace stac
