#include <gtest/gtest.h>

#include <thread>

#include "stac/capture/synthetic_scene.h"
#include "stac/device/live_device.h"
#include "stac/flow/optical_flow.h"
#include "stac/segment/fake_segmenter.h"
#include "stac/server/live_server.h"

namespace stac {
namespace {

constexpr int kClasses = 6;

class CountingSink final : public DeviceSink {
 public:
  void OnFrame(const FrameRecord& record, const Frame&, const LabelMap& labels) override {
    frames.push_back(record);
    if (labels.empty()) ++without_labels;
    if (on_frame) on_frame(record);
  }
  void OnKeyframe(const KeyframeRecord& record, const KeyframeJob&, ByteSpan) override {
    keyframes.push_back(record);
  }
  void OnFeedback(const FeedbackReport& report) override { feedback.push_back(report); }

  std::vector<FrameRecord> frames;
  std::vector<KeyframeRecord> keyframes;
  std::vector<FeedbackReport> feedback;
  int without_labels = 0;
  std::function<void(const FrameRecord&)> on_frame;
};

std::unique_ptr<LiveServer> MakeServer() {
  auto segmenter = std::make_unique<FakeSegmenter>(kClasses);
  Profile profile = UncalibratedProfile("fake", segmenter->info().hash, kClasses);
  return std::make_unique<LiveServer>(ServerOptions{}, profile, std::move(segmenter),
                                      MakeH264Decoder, nullptr, nullptr);
}

std::unique_ptr<DeviceSession> MakeSession(const Clock* clock) {
  DeviceOptions options;
  options.width = 192;
  options.height = 128;
  options.encoder.preset = "veryfast";
  return std::make_unique<DeviceSession>(options, MakeDisFlow({}), MakeX264Encoder, clock);
}

std::unique_ptr<FrameSource> MakeSource(int frames) {
  return MakeSyntheticSource({.width = 192, .height = 128, .fps = 30, .frame_count = frames});
}

TEST(LiveTest, EveryFrameIsDeliveredAndEveryKeyframeAnswered) {
  auto server = MakeServer();
  SystemClock clock;
  auto session = MakeSession(&clock);
  auto source = MakeSource(30);
  CountingSink sink;
  const auto connect = [&]() -> Result<std::unique_ptr<Link>> {
    LinkPair pair = MakeLoopback();
    server->Add(std::move(pair.b), "test");
    return std::move(pair.a);
  };
  LiveDevice device({.pace = false}, session.get(), source.get(), connect, &sink);
  std::atomic<bool> stop{false};
  const auto totals = device.Run(stop);
  ASSERT_TRUE(totals) << totals.error().message;
  EXPECT_EQ(totals->frames, 30);
  EXPECT_EQ(totals->keyframes, 30);
  EXPECT_EQ(sink.feedback.size(), 30u);
  EXPECT_EQ(sink.without_labels, 1);  // only the first frame is ahead of all feedback
  EXPECT_EQ(totals->dropped, 0);
  EXPECT_GT(totals->video_bytes, 0);
  EXPECT_GT(totals->feedback_bytes, 0);
}

TEST(LiveTest, ReconnectsWhenTheServerGoesAway) {
  auto server = MakeServer();
  SystemClock clock;
  auto session = MakeSession(&clock);
  auto source = MakeSource(60);
  CountingSink sink;
  const auto connect = [&]() -> Result<std::unique_ptr<Link>> {
    LinkPair pair = MakeLoopback();
    server->Add(std::move(pair.b), "test");
    return std::move(pair.a);
  };
  sink.on_frame = [&](const FrameRecord& record) {
    if (record.frame == 20) server = MakeServer();  // ends the first one and all its links
  };
  LiveDevice device({.pace = true}, session.get(), source.get(), connect, &sink);
  std::atomic<bool> stop{false};
  const auto totals = device.Run(stop);
  ASSERT_TRUE(totals) << totals.error().message;
  EXPECT_EQ(totals->reconnects, 1);
  EXPECT_EQ(totals->frames + totals->dropped, 60);
  EXPECT_GE(sink.feedback.back().frame, 25u);
}

TEST(LiveTest, AFullServerRefusesWithAReasonAndOthersSayHowFast) {
  // Anything is more than a millionth of the time: the first device finds no room.
  auto segmenter = std::make_unique<FakeSegmenter>(kClasses);
  const Profile profile = UncalibratedProfile("fake", segmenter->info().hash, kClasses);
  const auto welcome_of = [](LiveServer& server) {
    LinkPair pair = MakeLoopback();
    server.Add(std::move(pair.b), "test");
    SystemClock clock;
    const auto session = MakeSession(&clock);
    (void)pair.a->Send(Serialize(session->MakeHello()), 0);
    std::optional<Bytes> bytes;
    while (!bytes && pair.a->up()) {
      pair.a->Wait(100'000);
      if (auto received = pair.a->Receive(); received) bytes = *received;
    }
    return std::pair(std::move(pair.a), bytes ? std::get<Welcome>(*Parse(*bytes)) : Welcome{});
  };
  LiveServer full(ServerOptions{}, profile, segmenter->Clone(), MakeH264Decoder, nullptr, nullptr,
                  {.max_load = 1e-6});
  const auto refused = welcome_of(full);
  EXPECT_FALSE(refused.second.accepted);
  EXPECT_NE(refused.second.reason.find("full"), std::string::npos) << refused.second.reason;

  // A server with room says how fast.
  LiveServer roomy({.max_keyframe_fps = 4}, profile, segmenter->Clone(), MakeH264Decoder, nullptr,
                   nullptr, {.max_load = 1e6, .keyframe_fps = 3});
  const auto first = welcome_of(roomy);
  EXPECT_TRUE(first.second.accepted);
  EXPECT_EQ(first.second.max_keyframe_fps, 3);
}

TEST(LiveTest, StopsWhenAsked) {
  auto server = MakeServer();
  SystemClock clock;
  auto session = MakeSession(&clock);
  auto source = MakeSource(100000);
  CountingSink sink;
  std::atomic<bool> stop{false};
  sink.on_frame = [&](const FrameRecord& record) { stop = record.frame >= 10; };
  LiveDevice device(
      {.pace = false}, session.get(), source.get(),
      [&]() -> Result<std::unique_ptr<Link>> {
        LinkPair pair = MakeLoopback();
        server->Add(std::move(pair.b), "test");
        return std::move(pair.a);
      },
      &sink);
  const auto totals = device.Run(stop);
  ASSERT_TRUE(totals) << totals.error().message;
  EXPECT_LE(totals->frames, 12);
}

TEST(LiveTest, AnUnreachableServerIsAnErrorAtTheStart) {
  SystemClock clock;
  auto session = MakeSession(&clock);
  auto source = MakeSource(5);
  CountingSink sink;
  LiveDevice device(
      {}, session.get(), source.get(),
      []() -> Result<std::unique_ptr<Link>> { return Fail("nobody there"); }, &sink);
  std::atomic<bool> stop{false};
  EXPECT_EQ(device.Run(stop).error().message, "nobody there");
}

}  // namespace
}  // namespace stac
