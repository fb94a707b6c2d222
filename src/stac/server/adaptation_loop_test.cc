#include <gtest/gtest.h>

#include <algorithm>

#include "stac/adapt/tuner.h"
#include "stac/capture/synthetic_scene.h"
#include "stac/device/adaptation.h"
#include "stac/transport/simulated_link.h"
#include "stac/video/accuracy.h"
#include "test_loop.h"

namespace stac {
namespace {

constexpr Micros kSecond = 1'000'000;
constexpr int kFps = 10;

// Half an octave finer and half an octave faster for every octave of bandwidth to spare.
constexpr char kTuner[] = R"({"format": "stac-tuner-1", "origin": "by hand",
  "input_mean": [0, 0, 0, 0, 0, 0], "input_scale": [1, 1, 1, 1, 1, 1],
  "layers": [{"weights": [[0.5, -0.5, 0, 0, 0, 0], [-0.5, 0.5, 0, 0, 0, 0]], "bias": [0, 0]}]})";

// With a third output: smaller by a quarter of an octave for every octave that 256 kb/s are missed.
constexpr char kThreeKnobs[] = R"({"format": "stac-tuner-1", "origin": "by hand",
  "input_mean": [0, 0, 0, 0, 0, 0], "input_scale": [1, 1, 1, 1, 1, 1],
  "layers": [{"weights": [[0.25, -0.25, 0, 0, 0, 0], [-0.5, 0.5, 0, 0, 0, 0],
                          [0, 0.25, 0, 0, 0, 0]], "bias": [0, 0, -2]}]})";

struct Second {
  double scale = 0;
  double accuracy = 0;
  double kbps = 0;
  double keyframes = 0;
  double skipped = 0;
};

// The device's side as LiveDevice has it and the server's, over a simulated link in virtual time.
class Stream {
 public:
  Stream(const Trace& up, double share, const char* tuner = kTuner)
      : links_(MakeSimulatedLink({.up = {.trace = up}, .down = {.trace = ConstantTrace(20'000)}},
                                 &loop_.clock)),
        adaptation_(MakeTunerController(*TunerNetwork::FromJson(tuner), {}), Options(share)) {
    EXPECT_TRUE(loop_.Connect());
    loop_.device->Configure({.base_qp = 30, .keyframe_fps = 5});
  }

  std::vector<Second> Run(int seconds) {
    // Two seconds, forwards and backwards.
    constexpr int kFrames = 2 * kFps;
    const SyntheticScene scene({.width = TestLoop::kWidth,
                                .height = TestLoop::kHeight,
                                .fps = kFps,
                                .frame_count = kFrames});
    std::vector<Frame> rendered;
    for (int i = 0; i < kFrames; ++i) rendered.push_back(scene.Render(i).frame);
    std::vector<Second> out(seconds);
    for (int i = 0; i < seconds * kFps; ++i) {
      const int around = i % (2 * kFrames);
      Frame frame = rendered[std::min(around, 2 * kFrames - 1 - around)];
      frame.id = static_cast<FrameId>(i);
      frame.pts = i * kSecond / kFps;
      RunUntil(frame.pts);
      Second& second = out[frame.pts / kSecond];
      OnFrame(frame, second);
      const LabelMap& labels = loop_.device->labels();
      if (labels.empty()) {
        ++frames_without_labels;
        continue;
      }
      ConfusionMatrix matrix(TestLoop::kClasses);
      matrix.Add(truth_.Run(frame)->labels, labels);
      second.accuracy += matrix.PixelAccuracy() / kFps;
    }
    return out;
  }

  int frames_without_labels = 0;
  int forced_idrs = 0;
  int errors = 0;

 private:
  static AdaptationOptions Options(double share) {
    AdaptationOptions options{
        .start = {.base_qp = 30, .keyframe_fps = 5}, .share = share, .source_fps = kFps};
    options.limits.max_keyframe_fps = kFps;
    return options;
  }

  void OnFrame(const Frame& frame, Second& second) {
    DeviceSession& device = *loop_.device;
    device.OnFrame(frame);
    adaptation_.OnFrame(frame);
    const LinkStats stats = links_.device->Stats();
    if (stats.messages_expired > expired_) device.OnMessagesExpired();
    expired_ = stats.messages_expired;
    if (const auto record = adaptation_.Decide(loop_.clock.Now(), stats)) {
      device.Configure({.base_qp = record->decision.base_qp,
                        .keyframe_fps = record->keyframe_rate,
                        .scale = record->decision.scale});
    }
    second.scale = device.configuration().scale;
    if (!device.KeyframeDue()) return;
    const auto qp = adaptation_.KeyframeQp(loop_.clock.Now(), stats);
    if (!qp) {
      ++second.skipped;
      return;
    }
    Configuration keyframe = device.configuration();
    keyframe.base_qp = *qp;
    device.Configure(keyframe);
    const auto job = device.PlanKeyframe();
    if (!job) return;
    forced_idrs += job->force_idr;
    auto coded = device.Encode(*job);
    ASSERT_TRUE(coded);
    const Bytes wire = Serialize(device.MakeMessage(*job, std::move(*coded)));
    ASSERT_TRUE(links_.device->Send(wire, 2 * kSecond));
    adaptation_.OnKeyframeSent(wire.size(), job->force_idr);
    second.kbps += static_cast<double>(wire.size()) * 8e-3;
    ++second.keyframes;
  }

  void RunUntil(Micros time) {
    for (;;) {
      Serve();
      const auto next = links_.device->NextEvent();
      if (!next || *next > time) break;
      loop_.clock.AdvanceTo(*next);
    }
    loop_.clock.AdvanceTo(time);
    Serve();
  }

  void Serve() {
    while (auto wire = *links_.server->Receive()) {
      loop_.ToServer(*Parse(*wire));
      for (const Message& reply : loop_.replies) {
        EXPECT_TRUE(links_.server->Send(Serialize(reply), 0));
      }
    }
    while (auto wire = *links_.device->Receive()) {
      const auto report = loop_.device->OnMessage(*Parse(*wire));
      ASSERT_TRUE(report) << report.error().message;
      if (*report && !(*report)->server.error.empty()) ++errors;
    }
  }

  TestLoop loop_;
  SimulatedLinkPair links_;
  Adaptation adaptation_;
  FakeSegmenter truth_{TestLoop::kClasses};
  int64_t expired_ = 0;
};

double Mean(const std::vector<Second>& seconds, int from, int to, double Second::*of) {
  double sum = 0;
  for (int s = from; s < to; ++s) sum += seconds[s].*of;
  return sum / (to - from);
}

TEST(AdaptationLoopTest, SpendsWhatTheLinkCarries) {
  const Trace trace{.name = "steps", .points = {{0, 300}, {9, 80}}, .duration_s = 18};
  Stream stream(trace, 0.9);
  const auto seconds = stream.Run(18);
  EXPECT_EQ(stream.errors, 0);
  EXPECT_EQ(stream.forced_idrs, 1);  // nothing expired: the references were always valid
  const double rich = Mean(seconds, 5, 9, &Second::kbps);
  const double poor = Mean(seconds, 12, 18, &Second::kbps);
  EXPECT_GT(rich, 0.6 * 300);
  EXPECT_LT(rich, 1.05 * 300);
  EXPECT_GT(poor, 0.6 * 80);
  EXPECT_LT(poor, 1.05 * 80);
}

TEST(AdaptationLoopTest, TheSizeIsAKnobThatMovesSeldom) {
  const Trace trace{.name = "steps", .points = {{0, 300}, {9, 60}}, .duration_s = 32};
  Stream stream(trace, 0.9, kThreeKnobs);
  const auto seconds = stream.Run(32);
  EXPECT_EQ(stream.errors, 0);
  EXPECT_LE(stream.frames_without_labels, 3);
  int changes = 0, held = 0;
  for (size_t s = 1; s < seconds.size(); ++s) {
    ++held;
    if (seconds[s].scale == seconds[s - 1].scale) continue;
    // Up only after five seconds; down at once when the bandwidth falls.
    if (seconds[s].scale > seconds[s - 1].scale) {
      EXPECT_GE(held, 5) << s;
    }
    ++changes;
    held = 0;
  }
  EXPECT_GE(changes, 1);
  EXPECT_LE(changes, 4);
  EXPECT_LT(seconds.back().scale, 1);
  EXPECT_EQ(stream.forced_idrs, 1 + changes);  // the start, and each size
  EXPECT_LT(Mean(seconds, 20, 32, &Second::kbps), 1.05 * 60);
  EXPECT_GT(Mean(seconds, 20, 32, &Second::kbps), 0.5 * 60);
}

TEST(AdaptationLoopTest, LabelsOutliveAnOutageAndTheQualityIsBackInTwoSeconds) {
  const Trace trace{.name = "outage", .points = {{0, 200}, {6, 0}, {16, 200}}, .duration_s = 24};
  Stream stream(trace, 0.9);
  const auto seconds = stream.Run(23);
  EXPECT_LE(stream.frames_without_labels, 3);  // before the first answer
  EXPECT_EQ(stream.errors, 0);
  EXPECT_GT(stream.forced_idrs, 1);
  // In the outage hardly anything is coded, so that nothing piles up for afterwards.
  EXPECT_LT(Mean(seconds, 8, 16, &Second::kbps), 20);
  EXPECT_GT(Mean(seconds, 8, 16, &Second::skipped), 0.8 * kFps);
  const double before = Mean(seconds, 2, 6, &Second::accuracy);
  for (int s = 18; s < 23; ++s) {
    EXPECT_GT(seconds[s].accuracy, before - 0.05) << s;
    EXPECT_GT(seconds[s].keyframes, 0) << s;
  }
}

}  // namespace
}  // namespace stac
