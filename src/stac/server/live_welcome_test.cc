// Whom a live server takes in, and what newcomers cost those who are there.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "live_test_parts.h"

namespace stac {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Lt;

// Asks before every pass of the network, warming up included, whether it works.
class AskingSegmenter final : public Segmenter {
 public:
  using Ask = std::function<Status(const Frame&)>;
  explicit AskingSegmenter(Ask ask) : ask_(std::move(ask)) {}
  const NetworkInfo& info() const override { return fake_.info(); }
  Result<Segmentation> Run(const Frame& frame) override {
    STAC_RETURN_IF_ERROR(ask_(frame));
    return fake_.Run(frame);
  }
  Result<Segmentation> RunWithGradient(const Frame& frame, const Objective& objective) override {
    STAC_RETURN_IF_ERROR(ask_(frame));
    return fake_.RunWithGradient(frame, objective);
  }
  std::unique_ptr<Segmenter> Clone() const override {
    return std::make_unique<AskingSegmenter>(ask_);
  }

 private:
  FakeSegmenter fake_{kClasses};
  Ask ask_;
};

std::unique_ptr<LiveServer> MakeServer(AskingSegmenter::Ask ask, const LiveServerOptions& options) {
  auto segmenter = std::make_unique<AskingSegmenter>(std::move(ask));
  const Profile profile = UncalibratedProfile("fake", segmenter->info().hash, kClasses);
  return std::make_unique<LiveServer>(ServerOptions{}, profile, std::move(segmenter),
                                      MakeVideoDecoder, nullptr, nullptr, options);
}

std::unique_ptr<Link> Join(LiveServer& server, int width, int height) {
  LinkPair pair = MakeLoopback();
  server.Add(std::move(pair.b), "test");
  (void)pair.a->Send(Serialize(Hello{.device = "d", .width = width, .height = height, .fps = 30}),
                     0);
  return std::move(pair.a);
}

// The next message of this kind; fails after ten seconds.
template <typename Kind>
std::optional<Kind> Await(Link& link) {
  for (int i = 0; i < 1000; ++i) {
    const auto received = link.Receive();
    if (!received) break;
    if (!*received) {
      link.Wait(10'000);
    } else if (auto message = Parse(**received);
               message && std::holds_alternative<Kind>(*message)) {
      return std::get<Kind>(*message);
    }
  }
  ADD_FAILURE() << "no such message came";
  return std::nullopt;
}

Status Works(const Frame&) { return OkStatus(); }

TEST(LiveWelcomeTest, NewcomersBeyondTheMostDevicesAreRefused) {
  const auto server = MakeServer(Works, {.max_devices = 2});
  const auto first = Join(*server, 64, 48);
  const auto second = Join(*server, 64, 48);
  EXPECT_TRUE(Await<Welcome>(*first)->accepted);
  EXPECT_TRUE(Await<Welcome>(*second)->accepted);
  const auto third = Join(*server, 64, 48);
  const auto refusal = Await<Welcome>(*third);
  EXPECT_FALSE(refusal->accepted);
  EXPECT_THAT(refusal->reason, HasSubstr("has its 2 devices"));
  while (third->up()) third->Wait(10'000);  // it is closed, too
  EXPECT_EQ(server->Status().devices, 2);
}

TEST(LiveWelcomeTest, NobodyIsTakenInAfterTheEnd) {
  const auto server = MakeServer(Works, {});
  server->Drain();
  const auto late = Join(*server, 64, 48);
  EXPECT_THAT(Await<Welcome>(*late)->reason, HasSubstr("shutting down"));
  EXPECT_EQ(server->Status().devices, 0);
}

TEST(LiveWelcomeTest, WhoSpeaksAnotherVersionIsToldWhich) {
  const auto server = MakeServer(Works, {});
  LinkPair pair = MakeLoopback();
  server->Add(std::move(pair.b), "test");
  ASSERT_TRUE(pair.a->Send(
      Serialize(Hello{
          .version = kProtocolVersion + 1, .device = "d", .width = 64, .height = 48, .fps = 30}),
      0));
  const auto refusal = Await<Welcome>(*pair.a);
  EXPECT_FALSE(refusal->accepted);
  EXPECT_THAT(refusal->reason, HasSubstr("protocol version"));
}

TEST(LiveWelcomeTest, ASizeThatTheNetworkDoesNotRunAtIsRefused) {
  std::atomic<bool> broken{true};
  const auto large_fails = [&](const Frame& frame) -> Status {
    if (broken && frame.width() == 192) return Fail("out of memory");
    return OkStatus();
  };
  const auto server = MakeServer(large_fails, {.network_threads = 1});
  const auto refusal = Await<Welcome>(*Join(*server, 192, 128));
  EXPECT_FALSE(refusal->accepted);
  EXPECT_THAT(refusal->reason, HasSubstr("does not run at 192x128 here: out of memory"));
  EXPECT_TRUE(Await<Welcome>(*Join(*server, 64, 48))->accepted);
  broken = false;  // it may have been an exception
  EXPECT_TRUE(Await<Welcome>(*Join(*server, 192, 128))->accepted);
}

// A pass that fails is done at once: at its cost there would be room for everybody.
TEST(LiveWelcomeTest, WhatFailedSaysNothingOfTheCost) {
  const auto large_fails = [&](const Frame& frame) -> Status {
    if (frame.width() == 192) return Fail("out of memory");
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    return OkStatus();
  };
  const auto server = MakeServer(
      large_fails, {.admission = {.max_load = 0.15, .keyframe_fps = 5, .min_keyframe_fps = 1},
                    .network_threads = 1});
  EXPECT_FALSE(Await<Welcome>(*Join(*server, 192, 128))->accepted);
  const auto first = Join(*server, 64, 48);
  EXPECT_TRUE(Await<Welcome>(*first)->accepted);
  const auto second = Join(*server, 64, 48);
  const auto verdict = Await<Welcome>(*second);
  EXPECT_TRUE(!verdict->accepted || verdict->max_keyframe_fps < 5);
}

TEST(LiveWelcomeTest, APeerThatLeftIsNotWarmedUp) {
  Signal running, go_on;
  std::vector<int> widths;  // one thread runs the network
  const auto note = [&](const Frame& frame) -> Status {
    widths.push_back(frame.width());
    running.Set();
    EXPECT_TRUE(go_on.Wait());
    return OkStatus();
  };
  const auto server = MakeServer(note, {.network_threads = 1});
  const auto first = Join(*server, 64, 48);
  EXPECT_TRUE(running.Wait());
  const auto left = Join(*server, 192, 128);
  left->Close();
  const auto third = Join(*server, 96, 48);
  go_on.Set();
  EXPECT_TRUE(Await<Welcome>(*first)->accepted);
  EXPECT_TRUE(Await<Welcome>(*third)->accepted);
  server->Drain();
  EXPECT_THAT(widths, Each(Lt(192)));
}

TEST(LiveWelcomeTest, KeyframesGoOnWhileANewcomerIsWarmedUp) {
  Signal warming, go_on;
  std::vector<int> widths;
  const auto note = [&](const Frame& frame) -> Status {
    widths.push_back(frame.width());
    if (frame.width() != 64) return OkStatus();
    warming.Set();
    EXPECT_TRUE(go_on.Wait());
    return OkStatus();
  };
  const auto server = MakeServer(note, {.network_threads = 1});
  const auto old = Join(*server, 192, 128);
  ASSERT_TRUE(Await<Welcome>(*old)->accepted);
  const auto newcomer = Join(*server, 64, 48);
  EXPECT_TRUE(warming.Wait());
  ASSERT_TRUE(old->Send(
      Serialize(CodedFrame{.frame = 1, .idr = true, .access_unit = CodedIdr(), .held = 1}), 0));
  while (server->Status().waiting == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  go_on.Set();
  EXPECT_EQ(Await<ServerStats>(*old)->frame, 1);
  EXPECT_TRUE(Await<Welcome>(*newcomer)->accepted);
  server->Drain();
  // Both passes at each size, and the keyframe between those of the newcomer.
  EXPECT_THAT(widths, ElementsAre(192, 192, 64, 192, 64));
}

// The network was slow when it was warmed up, of which the first device gets a low rate.
TEST(LiveWelcomeTest, ADeviceIsToldWhenThereIsRoomForMoreThanItWasGranted) {
  const auto server = MakeServer(
      [](const Frame& frame) {
        if (frame.id == 0) std::this_thread::sleep_for(std::chrono::milliseconds(100));
        return OkStatus();
      },
      {.admission = {.max_load = 0.2, .keyframe_fps = 5, .min_keyframe_fps = 1}});
  const auto link = Join(*server, 192, 128);
  const auto welcome = Await<Welcome>(*link);
  ASSERT_TRUE(welcome && welcome->accepted);
  EXPECT_LE(welcome->max_keyframe_fps, 2);
  const Bytes access_unit = CodedIdr();
  double raised = 0;
  for (FrameId id = 1; id <= 100 && raised == 0; ++id) {
    ASSERT_TRUE(link->Send(
        Serialize(CodedFrame{.frame = id, .idr = true, .access_unit = access_unit, .held = id}),
        0));
    const auto stats = Await<ServerStats>(*link);
    ASSERT_TRUE(stats && stats->error.empty());
    raised = stats->max_keyframe_fps;
  }
  EXPECT_GT(raised, welcome->max_keyframe_fps);
  EXPECT_LE(raised, 5);
}

}  // namespace
}  // namespace stac
