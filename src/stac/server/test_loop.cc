#include "test_loop.h"

#include <gtest/gtest.h>

#include "stac/capture/synthetic_scene.h"
#include "stac/flow/optical_flow.h"
#include "stac/video/accuracy.h"

namespace stac {
namespace {

Result<std::unique_ptr<VideoEncoder>> MakeEncoder(const EncoderOptions& options) {
  return options.codec == VideoCodec::kH265 ? MakeX265Encoder(options) : MakeX264Encoder(options);
}

}  // namespace

TestLoop::TestLoop(DeviceOptions device_options, ServerOptions server_options)
    : profile(UncalibratedProfile("fake", segmenter.info().hash, kClasses)),
      server_options_(server_options) {
  device_options.width = kWidth;
  device_options.height = kHeight;
  device_options.encoder.preset = "veryfast";
  device_options.hash_reconstruction = true;
  device = std::make_unique<DeviceSession>(device_options, MakeDisFlow({.downscale = 1}),
                                           MakeEncoder, &clock);
}

Status TestLoop::Connect() {
  server = std::make_unique<ServerSession>(server_options_, profile, segmenter.info(),
                                           MakeVideoDecoder, &clock);
  const auto hello = Parse(Serialize(device->MakeHello()));
  const Message welcome = server->OnHello(std::get<Hello>(*hello));
  const auto parsed = Parse(Serialize(welcome));
  return device->OnWelcome(std::get<Welcome>(*parsed));
}

void TestLoop::ToServer(const Message& message) {
  const auto parsed = Parse(Serialize(message));
  ASSERT_TRUE(parsed) << parsed.error().message;
  auto at_once = server->OnMessage(*parsed);
  ASSERT_TRUE(at_once) << at_once.error().message;
  replies = std::move(*at_once);
  while (auto pending = server->TakePending()) {
    auto answer = server->Segment(*pending, segmenter, 0);
    ASSERT_TRUE(answer) << answer.error().message;
    sensitivity = answer->sensitivity;
    found = answer->labels;
    levels = answer->levels;
    for (Message& reply : answer->messages) replies.push_back(std::move(reply));
  }
}

TestLoop::Step TestLoop::Advance(const Frame& frame, bool answer) {
  clock.AdvanceTo(frame.pts);
  Step step;
  device->OnFrame(frame);
  step.job = device->PlanKeyframe();
  if (step.job) {
    auto coded = device->Encode(*step.job);
    EXPECT_TRUE(coded) << coded.error().message;
    step.access_unit = coded->access_unit;
    ToServer(device->MakeMessage(*step.job, std::move(*coded)));
    if (answer) {
      for (const Message& reply : replies) {
        const auto parsed = Parse(Serialize(reply));
        EXPECT_TRUE(parsed) << parsed.error().message;
        auto report = device->OnMessage(*parsed);
        EXPECT_TRUE(report) << report.error().message;
        if (*report) step.report = **report;
      }
    }
  }
  step.labels = device->labels();
  return step;
}

std::vector<Frame> Street(int count, bool camera_moves) {
  const SyntheticScene scene({.width = TestLoop::kWidth,
                              .height = TestLoop::kHeight,
                              .frame_count = count,
                              .noise = camera_moves ? 2.0 : 0.0,
                              .camera_moves = camera_moves});
  std::vector<Frame> frames;
  for (int i = 0; i < count; ++i) frames.push_back(scene.Render(i).frame);
  return frames;
}

double Accuracy(const LabelMap& labels, const Frame& frame) {
  FakeSegmenter segmenter(TestLoop::kClasses);
  ConfusionMatrix matrix(TestLoop::kClasses);
  matrix.Add(segmenter.Run(frame)->labels, labels);
  return matrix.PixelAccuracy();
}

}  // namespace stac
