// A live server under load, and how it ends.
#include <gtest/gtest.h>

#include <chrono>
#include <future>
#include <random>
#include <thread>

#include "live_test_parts.h"
#include "stac/codec/label_coder.h"

namespace stac {
namespace {

// Sends the same keyframe again and again, each time that one is answered: two are always on their
// way.
void SendWhileAnswered(Link& link, const Bytes& access_unit, const std::atomic<bool>& stop) {
  FrameId next = 1;
  const auto send = [&] {
    (void)link.Send(
        Serialize(CodedFrame{.frame = next, .idr = true, .access_unit = access_unit, .held = next}),
        0);
    ++next;
  };
  (void)link.Send(Serialize(Hello{.device = "d", .width = 192, .height = 128, .fps = 30}), 0);
  send();
  send();
  while (!stop && link.up()) {
    const auto received = link.Receive();
    if (!received) return;
    if (!*received) {
      link.Wait(10'000);
    } else if (const auto message = Parse(**received);
               message && std::holds_alternative<ServerStats>(*message)) {
      send();
    }
  }
}

TEST(LiveServerTest, ASaturatedServerDrains) {
  constexpr FrameId kEnough = 5;
  Signal saturated;
  auto segmenter = std::make_unique<WatchedSegmenter>(1'000'000, [&](FrameId frame) {
    if (frame == kEnough) saturated.Set();
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  });
  const Profile profile = UncalibratedProfile("fake", segmenter->info().hash, kClasses);
  LiveServer server({}, profile, std::move(segmenter), MakeVideoDecoder, nullptr, nullptr,
                    {.network_threads = 1});
  const Bytes access_unit = CodedIdr();
  std::atomic<bool> stop{false};
  std::vector<std::thread> devices;
  for (int i = 0; i < 4; ++i) {
    LinkPair pair = MakeLoopback();
    server.Add(std::move(pair.b), "test");
    devices.emplace_back(
        [&, link = std::move(pair.a)] { SendWhileAnswered(*link, access_unit, stop); });
  }
  EXPECT_TRUE(saturated.Wait());
  const auto drained = std::async(std::launch::async, [&] { server.Drain(); });
  EXPECT_EQ(drained.wait_for(std::chrono::seconds(20)), std::future_status::ready);
  stop = true;
  for (std::thread& device : devices) device.join();
}

// Labels of a large frame keep the receiver busy, so a keyframe that waits beside them is passed
// over: nobody would come back to it if they did not say when they are done.
TEST(LiveServerTest, KeyframesDoNotWaitForMessagesWithoutThem) {
  constexpr int kWidth = 384, kHeight = 256, kRounds = 4, kMessages = 10;
  std::atomic<int> served{0};
  auto segmenter = std::make_unique<FakeSegmenter>(kClasses);
  const Profile profile = UncalibratedProfile("fake", segmenter->info().hash, kClasses);
  LiveServer server(
      {}, profile, std::move(segmenter), MakeVideoDecoder, [&](const ServedKeyframe&) { ++served; },
      nullptr);
  LinkPair pair = MakeLoopback();
  server.Add(std::move(pair.b), "test");
  const auto send = [&](const Message& message) {
    ASSERT_TRUE(pair.a->Send(Serialize(message), 0));
  };
  send(
      Hello{.device = "d", .width = kWidth, .height = kHeight, .fps = 30, .server_consumes = true});
  const Bytes access_unit = CodedIdr();
  std::mt19937 random(1);
  LabelMap noise(kWidth, kHeight);
  for (uint8_t& label : noise) label = static_cast<uint8_t>(random() % kClasses);
  const Bytes coded_noise = *EncodeLabels(noise);
  for (FrameId id = 1; id <= 2 * kRounds;) {
    for (const FrameId last = id + 1; id <= last; ++id) {
      send(CodedFrame{.frame = id, .idr = true, .access_unit = access_unit, .held = id});
    }
    for (int i = 0; i < kMessages; ++i) send(PropagatedLabels{.frame = id, .coded = coded_noise});
    const int all = static_cast<int>(id) - 1;
    for (int i = 0; i < 2000 && served < all; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    ASSERT_EQ(served, all);
  }
}

// Closing the silent ones' links takes until another device was served.
TEST(LiveServerTest, WhoLeavesAndFallsSilentDelaysNobody) {
  Signal served;
  std::atomic<int> closing{0};
  std::atomic<bool> in_time{true};
  auto segmenter = std::make_unique<FakeSegmenter>(kClasses);
  const Profile profile = UncalibratedProfile("fake", segmenter->info().hash, kClasses);
  LiveServer server({}, profile, std::move(segmenter), MakeVideoDecoder,
                    [&](const ServedKeyframe& keyframe) {
                      if (keyframe.stats.frame == 2) served.Set();
                    },
                    nullptr, {.network_threads = 1, .max_devices = 4});
  const auto add_silent = [&] {
    LinkPair pair = MakeLoopback();
    server.Add(std::make_unique<SilentLink>(std::move(pair.b),
                                            [&] {
                                              ++closing;
                                              if (!served.Wait()) in_time = false;
                                            }),
               "silent");
    return std::move(pair.a);
  };
  const auto send = [](Link& link, const Message& message) {
    ASSERT_TRUE(link.Send(Serialize(message), 0));
  };
  LinkPair pair = MakeLoopback();
  server.Add(std::move(pair.b), "test");
  send(*pair.a, Hello{.device = "d", .width = 192, .height = 128, .fps = 30});
  std::vector<std::unique_ptr<Link>> silent;
  for (int i = 0; i < 3; ++i) {
    silent.push_back(add_silent());
    send(*silent.back(), Hello{.device = "s", .width = 192, .height = 128, .fps = 30});
    send(*silent.back(), Bye{});
  }
  silent.push_back(add_silent());  // one too many
  for (int i = 0; i < 1000 && closing < 4; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  EXPECT_EQ(closing, 4);
  const Bytes access_unit = CodedIdr();
  for (FrameId id = 1; id <= 2; ++id) {
    send(*pair.a, CodedFrame{.frame = id, .idr = true, .access_unit = access_unit, .held = id});
  }
  EXPECT_TRUE(served.Wait());
  EXPECT_TRUE(in_time);
}

TEST(LiveServerTest, OfKeyframesWithoutUseNotEveryOneIsReported) {
  constexpr int64_t kSent = 500;
  std::atomic<int64_t> reported{0}, left_out{0};
  auto segmenter = std::make_unique<FakeSegmenter>(kClasses);
  const Profile profile = UncalibratedProfile("fake", segmenter->info().hash, kClasses);
  LiveServer server(
      {}, profile, std::move(segmenter), MakeVideoDecoder,
      [&](const ServedKeyframe& keyframe) {
        EXPECT_EQ(keyframe.stats.error, "waiting for an IDR");
        ++reported;
        left_out += keyframe.left_out;
      },
      nullptr);
  LinkPair pair = MakeLoopback();
  server.Add(std::move(pair.b), "test");
  ASSERT_TRUE(
      pair.a->Send(Serialize(Hello{.device = "d", .width = 192, .height = 128, .fps = 30}), 0));
  for (FrameId id = 1; id <= kSent; ++id) {
    ASSERT_TRUE(pair.a->Send(Serialize(CodedFrame{.frame = id, .access_unit = {1}}), 0));
  }
  int64_t answers = 0;
  while (answers < kSent) {
    const auto received = pair.a->Receive();
    ASSERT_TRUE(received);
    if (!*received) {
      pair.a->Wait(100'000);
      continue;
    }
    const auto message = Parse(**received);
    if (std::holds_alternative<ServerStats>(*message)) ++answers;
  }
  server.Drain();
  EXPECT_GE(reported, 30);
  EXPECT_LT(reported, kSent);
  EXPECT_LE(reported + left_out, kSent);
}

// The decoder goes on when the status is there.
TEST(LiveServerTest, TheStatusDoesNotWaitForDecoders) {
  Signal decoding, told;
  std::atomic<bool> told_in_time{false};
  auto segmenter = std::make_unique<FakeSegmenter>(kClasses);
  const Profile profile = UncalibratedProfile("fake", segmenter->info().hash, kClasses);
  const auto decoders =
      [&](const DecoderOptions& options) -> Result<std::unique_ptr<VideoDecoder>> {
    STAC_ASSIGN_OR_RETURN(auto decoder, MakeVideoDecoder(options));
    return std::make_unique<WatchedDecoder>(std::move(decoder), [&] {
      decoding.Set();
      told_in_time = told.Wait();
    });
  };
  LiveServer server({}, profile, std::move(segmenter), decoders, nullptr, nullptr);
  LinkPair pair = MakeLoopback();
  server.Add(std::move(pair.b), "test");
  ASSERT_TRUE(
      pair.a->Send(Serialize(Hello{.device = "d", .width = 192, .height = 128, .fps = 30}), 0));
  ASSERT_TRUE(pair.a->Send(
      Serialize(CodedFrame{.frame = 1, .idr = true, .access_unit = CodedIdr(), .held = 1}), 0));
  EXPECT_TRUE(decoding.Wait());
  EXPECT_EQ(server.Status().devices, 1);
  told.Set();
  server.Drain();
  EXPECT_TRUE(told_in_time);
}

}  // namespace
}  // namespace stac
