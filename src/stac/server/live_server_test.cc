// A live server under load, and how it ends.
#include <gtest/gtest.h>

#include <chrono>
#include <future>
#include <thread>

#include "live_test_parts.h"

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
