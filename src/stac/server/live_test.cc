#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <thread>

#include "live_test_parts.h"

namespace stac {
namespace {

std::unique_ptr<LiveServer> MakeServer() {
  auto segmenter = std::make_unique<FakeSegmenter>(kClasses);
  Profile profile = UncalibratedProfile("fake", segmenter->info().hash, kClasses);
  return std::make_unique<LiveServer>(ServerOptions{}, profile, std::move(segmenter),
                                      MakeVideoDecoder, nullptr, nullptr);
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
  // Anything is more than a millionth of the time: after the first device there is no room.
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
  LiveServer full(ServerOptions{}, profile, segmenter->Clone(), MakeVideoDecoder, nullptr, nullptr,
                  {.admission = {.max_load = 1e-6}});
  const auto alone = welcome_of(full);
  EXPECT_EQ(alone.second.max_keyframe_fps, 1);
  const auto refused = welcome_of(full);
  EXPECT_FALSE(refused.second.accepted);
  EXPECT_NE(refused.second.reason.find("full"), std::string::npos) << refused.second.reason;

  // A server with room says how fast.
  LiveServer roomy({.max_keyframe_fps = 4}, profile, segmenter->Clone(), MakeVideoDecoder, nullptr,
                   nullptr, {.admission = {.max_load = 1e6, .keyframe_fps = 3}});
  const auto first = welcome_of(roomy);
  EXPECT_TRUE(first.second.accepted);
  EXPECT_EQ(first.second.max_keyframe_fps, 3);
}

// Keyframe 2 is decoded while 1 is in the network, and segmented while the answer to 1 is on its
// way: each waits for the other, so one after the other would never end.
TEST(LiveTest, DecodingNetworkAndAnswersOverlap) {
  Signal second_decoded, second_in_network;
  std::atomic<bool> decoding_overlaps{false}, answers_overlap{false};
  std::atomic<int> decoded{0}, served{0};
  auto segmenter = std::make_unique<WatchedSegmenter>(2, [&](FrameId frame) {
    if (frame == 1) decoding_overlaps = second_decoded.Wait();
    if (frame == 2) second_in_network.Set();
  });
  const Profile profile = UncalibratedProfile("fake", segmenter->info().hash, kClasses);
  const auto decoders =
      [&](const DecoderOptions& options) -> Result<std::unique_ptr<VideoDecoder>> {
    STAC_ASSIGN_OR_RETURN(auto decoder, MakeVideoDecoder(options));
    return std::make_unique<WatchedDecoder>(std::move(decoder), [&] {
      if (++decoded == 2) second_decoded.Set();
    });
  };
  LiveServer server(
      {}, profile, std::move(segmenter), decoders,
      [&](const ServedKeyframe& keyframe) {
        if (keyframe.stats.frame == 1) answers_overlap = second_in_network.Wait();
        ++served;
      },
      nullptr);
  LinkPair pair = MakeLoopback();
  server.Add(std::move(pair.b), "test");
  ASSERT_TRUE(
      pair.a->Send(Serialize(Hello{.device = "d", .width = 192, .height = 128, .fps = 30}), 0));
  auto encoder = MakeX264Encoder({.width = 192, .height = 128, .preset = "veryfast"});
  ASSERT_TRUE(encoder) << encoder.error().message;
  auto source = MakeSource(2);
  for (FrameId id = 1; id <= 2; ++id) {
    auto frame = source->Next();
    ASSERT_TRUE(frame && *frame);
    const QpMap qp(12, 8, 30);
    auto coded = (*encoder)->Encode(**frame, &qp, id == 1);
    ASSERT_TRUE(coded) << coded.error().message;
    ASSERT_TRUE(pair.a->Send(
        Serialize(
            CodedFrame{.frame = id, .idr = id == 1, .access_unit = coded->access_unit, .held = id}),
        0));
  }
  for (int i = 0; i < 2000 && served < 2; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  EXPECT_EQ(served, 2);
  EXPECT_TRUE(decoding_overlaps);
  EXPECT_TRUE(answers_overlap);
}

// Each of two devices' first keyframes waits in the network for the other's.
TEST(LiveTest, KeyframesOfTwoDevicesAreInTheNetworkAtATime) {
  Signal both;
  std::atomic<int> inside{0}, served{0};
  std::atomic<bool> together{true};
  auto segmenter = std::make_unique<WatchedSegmenter>(1, [&](FrameId) {
    if (++inside == 2) both.Set();
    if (!both.Wait()) together = false;
  });
  const Profile profile = UncalibratedProfile("fake", segmenter->info().hash, kClasses);
  LiveServer server({}, profile, std::move(segmenter), MakeVideoDecoder,
                    [&](const ServedKeyframe&) { ++served; }, nullptr, {.network_threads = 2});
  const Bytes access_unit = CodedIdr();
  std::vector<std::unique_ptr<Link>> devices;
  for (const char* name : {"a", "b"}) {
    LinkPair pair = MakeLoopback();
    server.Add(std::move(pair.b), name);
    ASSERT_TRUE(
        pair.a->Send(Serialize(Hello{.device = name, .width = 192, .height = 128, .fps = 30}), 0));
    ASSERT_TRUE(pair.a->Send(
        Serialize(CodedFrame{.frame = 1, .idr = true, .access_unit = access_unit, .held = 1}), 0));
    devices.push_back(std::move(pair.a));
  }
  for (int i = 0; i < 2000 && served < 2; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  EXPECT_EQ(served, 2);
  EXPECT_TRUE(together);
}

// Four devices at once: every keyframe is answered, each device's in their order.
void ExpectAllAnsweredInOrder(const LiveServerOptions& options) {
  constexpr int kDevices = 4, kFrames = 8;
  auto segmenter = std::make_unique<FakeSegmenter>(kClasses);
  const Profile profile = UncalibratedProfile("fake", segmenter->info().hash, kClasses);
  std::map<std::string, std::vector<FrameId>> served;
  LiveServer server(
      {}, profile, std::move(segmenter), MakeVideoDecoder,
      [&](const ServedKeyframe& keyframe) {
        served[keyframe.device].push_back(keyframe.stats.frame);
      },
      nullptr, options);
  std::vector<std::thread> devices;
  for (int i = 0; i < kDevices; ++i) {
    devices.emplace_back([&server, name = fmt::format("d{}", i)] {
      SystemClock clock;
      auto session = MakeSession(&clock);
      auto source = MakeSource(kFrames);
      CountingSink sink;
      const auto connect = [&]() -> Result<std::unique_ptr<Link>> {
        LinkPair pair = MakeLoopback();
        server.Add(std::move(pair.b), name);
        return std::move(pair.a);
      };
      LiveDevice device({.pace = false}, session.get(), source.get(), connect, &sink);
      std::atomic<bool> stop{false};
      const auto totals = device.Run(stop);
      ASSERT_TRUE(totals) << totals.error().message;
      EXPECT_EQ(sink.feedback.size(), size_t{kFrames});
    });
  }
  for (std::thread& device : devices) device.join();
  server.Drain();
  EXPECT_EQ(served.size(), size_t{kDevices});
  for (const auto& [device, frames] : served) {
    EXPECT_EQ(frames.size(), size_t{kFrames}) << device;
    EXPECT_TRUE(std::is_sorted(frames.begin(), frames.end())) << device;
  }
}

TEST(LiveTest, SeveralThreadsAnswerAndEachDeviceKeepsItsOrder) {
  ExpectAllAnsweredInOrder({.answer_threads = 3});
}

TEST(LiveTest, SeveralPassesAtATimeAndEachDeviceKeepsItsOrder) {
  ExpectAllAnsweredInOrder({.network_threads = 3, .answer_threads = 2});
  ExpectAllAnsweredInOrder({.network_threads = 2, .max_batch = 2, .batch_wait_ms = 2});
}

TEST(LiveTest, KeyframesThatWaitGoThroughTheNetworkTogether) {
  ExpectAllAnsweredInOrder({.answer_threads = 2, .max_batch = 3, .batch_wait_ms = 5});
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
