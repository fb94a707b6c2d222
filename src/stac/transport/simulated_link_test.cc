#include "stac/transport/simulated_link.h"

#include <gmock/gmock.h>

#include <functional>
#include <vector>

namespace stac {
namespace {

constexpr Micros kMs = 1000;
constexpr Micros kSecond = 1000 * kMs;

// At 8000 kb/s a byte takes a microsecond.
SimulatedLinkOptions Options(const Trace& up, Micros delay_us = 20 * kMs) {
  SimulatedLinkOptions options;
  options.up = {.trace = up, .delay_us = delay_us};
  options.down = {.trace = ConstantTrace(1e6), .delay_us = delay_us};
  return options;
}

// A pair with its clock.
struct World {
  explicit World(const SimulatedLinkOptions& options) : links(MakeSimulatedLink(options, &clock)) {}

  // Follows events until `end`; the arrival times at the server.
  std::vector<Micros> RunUntil(Micros end) {
    std::vector<Micros> arrivals;
    while (true) {
      while (*links.server->Receive()) arrivals.push_back(clock.Now());
      const auto next = links.device->NextEvent();
      if (!next || *next > end) break;
      EXPECT_GT(*next, clock.Now());
      clock.AdvanceTo(*next);
    }
    clock.AdvanceTo(end);
    return arrivals;
  }
  ManualClock clock;
  SimulatedLinkPair links;
};

TEST(SimulatedLinkTest, ArrivalIsQueueingPlusTransmissionPlusDelay) {
  World world(Options(ConstantTrace(8000)));
  ASSERT_TRUE(world.links.device->Send(Bytes(1000, 1), 0));
  ASSERT_TRUE(world.links.device->Send(Bytes(500, 2), 0));
  EXPECT_EQ(world.links.device->NextEvent(), 1 * kMs);
  EXPECT_THAT(world.RunUntil(kSecond), testing::ElementsAre(21 * kMs, 21'500));
  EXPECT_EQ(world.links.device->NextEvent(), std::nullopt);
  EXPECT_EQ(world.links.server->Stats().bytes_received, 1500);
}

TEST(SimulatedLinkTest, TransmissionIsIntegratedAcrossTraceSteps) {
  // 1 Mb/s for 10 ms, then 3 Mb/s for 10 ms, repeated: 2500 bytes = 20,000 bits take 10 ms at
  // 1 Mb/s and 3.333 ms at 3 Mb/s.
  World world(Options({"steps", {{0, 1000}, {0.01, 3000}}, 0.02}, 0));
  ASSERT_TRUE(world.links.device->Send(Bytes(2500), 0));
  EXPECT_THAT(world.RunUntil(kSecond), testing::ElementsAre(13'334));
}

TEST(SimulatedLinkTest, BothDirectionsAreIndependent) {
  SimulatedLinkOptions options = Options(ConstantTrace(8));
  options.down.trace = ConstantTrace(8000);
  World world(options);
  ASSERT_TRUE(world.links.device->Send(Bytes(1000), 0));  // a second
  ASSERT_TRUE(world.links.server->Send(Bytes(1000), 0));  // a millisecond
  world.clock.AdvanceTo(21 * kMs);
  EXPECT_TRUE(world.links.device->Receive()->has_value());
  EXPECT_FALSE(world.links.server->Receive()->has_value());
}

TEST(SimulatedLinkTest, MessagesExpireOnlyBeforeTheirFirstBit) {
  World world(Options(ConstantTrace(8000), 0));
  ASSERT_TRUE(world.links.device->Send(Bytes(100'000), 50 * kMs));  // 100 ms, already begun
  ASSERT_TRUE(world.links.device->Send(Bytes(1000), 50 * kMs));     // waits for too long
  ASSERT_TRUE(world.links.device->Send(Bytes(1000), 150 * kMs));
  EXPECT_THAT(world.RunUntil(kSecond), testing::ElementsAre(100 * kMs, 101 * kMs));
  const LinkStats stats = world.links.device->Stats();
  EXPECT_EQ(stats.messages_expired, 1);
  EXPECT_EQ(stats.messages_sent, 2);
  EXPECT_EQ(stats.bytes_sent, 101'000);
  EXPECT_EQ(stats.unsent_bytes, 0);
}

TEST(SimulatedLinkTest, AnOutageHoldsOneMessageAndLetsTheOthersExpire) {
  World world(Options({"outage", {{0, 0}, {1, 8000}}, 2}, 0));
  ASSERT_TRUE(world.links.device->Send(Bytes(1000), 500 * kMs));
  ASSERT_TRUE(world.links.device->Send(Bytes(2000), 500 * kMs));
  ASSERT_TRUE(world.links.device->Send(Bytes(3000), 0));
  EXPECT_THAT(world.RunUntil(2 * kSecond), testing::ElementsAre(1001 * kMs, 1004 * kMs));
  EXPECT_EQ(world.links.device->Stats().messages_expired, 1);
}

TEST(SimulatedLinkTest, ATraceWithoutBandwidthCarriesNothing) {
  World world(Options({"dead", {{0, 0}}, 1}, 0));
  ASSERT_TRUE(world.links.device->Send(Bytes(1000), kSecond));
  ASSERT_TRUE(world.links.device->Send(Bytes(1000), kSecond));
  EXPECT_EQ(world.links.device->NextEvent(), std::nullopt);
  world.clock.AdvanceTo(2 * kSecond);
  EXPECT_EQ(world.links.device->Stats().messages_expired, 1);
  EXPECT_EQ(world.links.device->Stats().unsent_bytes, 1000);
  EXPECT_EQ(world.links.device->DiscardUnsent(), 1);
  EXPECT_EQ(world.links.device->Stats().unsent_bytes, 0);
}

TEST(SimulatedLinkTest, DiscardForgetsUnfinishedMessages) {
  World world(Options(ConstantTrace(8000), 20 * kMs));
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(world.links.device->Send(Bytes(10'000), 0));
  world.clock.AdvanceTo(15 * kMs);  // the second one is half sent
  EXPECT_EQ(world.links.device->DiscardUnsent(), 2);
  ASSERT_TRUE(world.links.device->Send(Bytes(1000), 0));
  EXPECT_THAT(world.RunUntil(kSecond), testing::ElementsAre(30 * kMs, 36 * kMs));
  const LinkStats stats = world.links.device->Stats();
  EXPECT_EQ(stats.messages_expired, 2);
  EXPECT_EQ(stats.unsent_bytes, 0);
  EXPECT_NEAR(stats.estimated_kbps, 8000, 80);
}

TEST(SimulatedLinkTest, UnsentBytesFallAsTheyAreKnownToArrive) {
  World world(Options(ConstantTrace(8000), 20 * kMs));
  ASSERT_TRUE(world.links.device->Send(Bytes(100'000), 0));
  EXPECT_EQ(world.links.device->Stats().unsent_bytes, 100'000);
  world.clock.AdvanceTo(90 * kMs);  // 50 ms ago half of it had arrived
  EXPECT_NEAR(static_cast<double>(world.links.device->Stats().unsent_bytes), 50'000, 1);
  EXPECT_EQ(world.links.device->Stats().rtt_ms, 40);
}

TEST(SimulatedLinkTest, CloseEndsBothSidesAndLeavesWhatHasArrived) {
  World world(Options(ConstantTrace(8000), 0));
  ASSERT_TRUE(world.links.device->Send(Bytes(1000), 0));
  ASSERT_TRUE(world.links.device->Send(Bytes(1000), 0));
  world.clock.AdvanceTo(1500);
  world.links.device.reset();
  world.clock.AdvanceTo(kSecond);
  EXPECT_FALSE(world.links.server->up());
  EXPECT_TRUE((*world.links.server->Receive()).has_value());
  EXPECT_FALSE(world.links.server->Receive().has_value());
  EXPECT_FALSE(world.links.server->Send(Bytes(1), 0));
}

TEST(SimulatedLinkTest, JitterAndLossDelayButKeepOrderAndAreSeeded) {
  const auto run = [](uint64_t seed) {
    SimulatedLinkOptions options = Options(ConstantTrace(8000));
    options.up.jitter_us = 30 * kMs;
    options.up.loss = 0.05;
    options.seed = seed;
    World world(options);
    for (int i = 0; i < 200; ++i) EXPECT_TRUE(world.links.device->Send(Bytes(3000), 0));
    return world.RunUntil(10 * kSecond);
  };
  const auto arrivals = run(1);
  ASSERT_EQ(arrivals.size(), 200u);
  EXPECT_TRUE(std::is_sorted(arrivals.begin(), arrivals.end()));
  EXPECT_EQ(run(1), arrivals);
  EXPECT_NE(run(2), arrivals);
  // 600 packets, 5 % of them sent again, 1456 us each: about 44 ms more than 600.
  EXPECT_GT(arrivals.back(), 600 * kMs + 20 * kMs + 15 * kMs);
  EXPECT_LT(arrivals.back(), 600 * kMs + 20 * kMs + 90 * kMs + 80 * kMs + 30 * kMs);
}

// Sends `bytes` every 100 ms for `seconds` and returns the estimate at the end.
double EstimateAfter(World& world, int seconds, size_t bytes) {
  const Micros start = world.clock.Now();
  for (int i = 0; i < 10 * seconds; ++i) {
    if (bytes > 0) {
      EXPECT_TRUE(world.links.device->Send(Bytes(bytes), kSecond));
    }
    world.RunUntil(start + (i + 1) * 100 * kMs);
    world.links.device->Stats();
  }
  return world.links.device->Stats().estimated_kbps;
}

TEST(SimulatedLinkTest, TheEstimateFollowsATraceWithinTwoSeconds) {
  World world(Options({"steps", {{0, 8000}, {5, 2000}, {10, 6000}, {15, 0}, {25, 4000}}, 60}));
  EXPECT_NEAR(EstimateAfter(world, 5, 40'000), 8000, 400);
  EXPECT_NEAR(EstimateAfter(world, 2, 20'000), 2000, 200);
  EXPECT_NEAR(EstimateAfter(world, 3, 20'000), 2000, 100);
  EXPECT_NEAR(EstimateAfter(world, 2, 20'000), 6000, 600);
  EXPECT_NEAR(EstimateAfter(world, 3, 20'000), 6000, 300);
  EXPECT_LT(EstimateAfter(world, 9, 5'000), 1500);  // the link is gone
  EXPECT_NEAR(EstimateAfter(world, 3, 20'000), 4000, 600);
  const double before = EstimateAfter(world, 3, 20'000);
  EXPECT_NEAR(before, 4000, 200);
  EXPECT_DOUBLE_EQ(EstimateAfter(world, 20, 0), before);   // idle
  EXPECT_NEAR(EstimateAfter(world, 5, 500), before, 200);  // nearly idle
}

}  // namespace
}  // namespace stac
