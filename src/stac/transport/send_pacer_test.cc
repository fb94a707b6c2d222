#include "stac/transport/send_pacer.h"

#include <gtest/gtest.h>

#include <vector>

namespace stac {
namespace {

TEST(SendPacerTest, StartsModestly) {
  SendPacer pacer;
  Micros now = 0;
  for (; now < 100'000; now += 1000) {
    if (pacer.MaySend(now)) pacer.OnSent(now, 1000);
  }
  EXPECT_EQ(pacer.sent(), 4'000);
  EXPECT_FALSE(pacer.MaySend(now + 1'000'000));
  pacer.OnAcknowledged(now + 1'000'000, 1'000, 50);
  EXPECT_EQ(pacer.BytesInFlight(), 3'000);
}

// A full queue on the way drops what is repeated: that did not pass, however often it was sent.
TEST(SendPacerTest, WhatWasDroppedOnTheWayDoesNotCount) {
  SendPacer pacer;
  int64_t arrived = 0, repeated = 0;
  Micros now = 0;
  // 50 kb/s arrive, all at once every two seconds; eight times as much is repeated.
  for (int i = 1; i <= 200; ++i) {
    pacer.OnSent(now += 100'000, 625);
    pacer.OnRepeated(now, repeated += 5'000);
    if (i % 20 == 0) pacer.OnAcknowledged(now, arrived += 12'000, 1);
  }
  // Of a standstill 200 ms count: ten times what arrived, and twice that for what was repeated.
  EXPECT_LE(pacer.EstimateKbps(now), 2 * 10 * 50);
  EXPECT_GT(pacer.EstimateKbps(now), 50);
}

// A bottleneck of 1000 bytes per millisecond, seen through acknowledgements every 10 ms.
TEST(SendPacerTest, FillsTheLinkWithLittleInItsQueue) {
  constexpr int kRoundTripMs = 40;
  SendPacer pacer;
  std::vector<int64_t> served;
  for (int ms = 0; ms < 2000; ++ms) {
    const Micros now = ms * 1000;
    while (pacer.MaySend(now)) pacer.OnSent(now, 1000);
    const int64_t before = served.empty() ? 0 : served.back();
    served.push_back(std::min(pacer.sent(), before + 1000));
    if (ms % 10 == 0 && ms >= kRoundTripMs) {
      pacer.OnAcknowledged(now, served[static_cast<size_t>(ms - kRoundTripMs)], kRoundTripMs);
    }
  }
  EXPECT_NEAR(pacer.EstimateKbps(2'000'000), 8000, 400);
  EXPECT_GT(served[1999] - served[499], 1'490'000);
  EXPECT_LT(pacer.BytesInFlight(), 2 * 60'000 + 10'000);
  EXPECT_EQ(pacer.round_trip_ms(), kRoundTripMs);
}

// After a slow start each packet is acknowledged before the next one may leave: no burst forms.
TEST(SendPacerTest, GrowsOnAShortPathWherePacketsAreAcknowledgedOneByOne) {
  SendPacer pacer;
  int half_ms = 0;
  for (; half_ms < 2000 && pacer.sent() < 5'000'000; ++half_ms) {
    const Micros now = half_ms * 500;
    if (half_ms >= 40) pacer.OnAcknowledged(now, pacer.sent(), 0.1);
    while (pacer.MaySend(now) && pacer.sent() < 5'000'000) pacer.OnSent(now, 1456);
  }
  EXPECT_LT(half_ms, 1000);  // half a second; at the pace of the start it would be twenty
}

// A slow link, first in, first out, on which everything in flight is sent twice more.
TEST(SendPacerTest, WhatIsRepeatedCountsInWhatTheLinkCarries) {
  SendPacer pacer;
  constexpr int64_t kPacket = 1250;  // 100 ms at 100 kb/s
  for (int i = 0; i < 6; ++i) pacer.OnSent(0, kPacket);
  pacer.OnRepeated(30'000, 6 * kPacket);
  pacer.OnRepeated(60'000, 12 * kPacket);
  Micros now = 0;
  for (int i = 1; i <= 5; ++i) pacer.OnAcknowledged(now += 100'000, i * kPacket, 1);
  EXPECT_NEAR(pacer.EstimateKbps(now), 100, 10);
  // A packet that stands behind all of it, and one behind that.
  pacer.OnSent(now, kPacket);
  pacer.OnSent(now, kPacket);
  pacer.OnAcknowledged(now += 100'000, 6 * kPacket, 1);
  pacer.OnAcknowledged(now += 1'300'000, 7 * kPacket, 1);
  EXPECT_EQ(pacer.acknowledged(), 7 * kPacket);
  // A long wait counts as 200 ms at most (bandwidth_estimator.cc), so it may seem faster, not
  // slower.
  EXPECT_GT(pacer.EstimateKbps(now), 90);
  // What was repeated after the last packet is not waited for.
  pacer.OnRepeated(now, 13 * kPacket);
  pacer.OnAcknowledged(now += 100'000, 8 * kPacket, 1);
  EXPECT_EQ(pacer.BytesInFlight(), 0);
  const double after = pacer.EstimateKbps(now);
  EXPECT_GT(after, 90);
  pacer.OnRepeated(now, 20 * kPacket);
  EXPECT_DOUBLE_EQ(pacer.EstimateKbps(now + 5'000'000), after);
}

TEST(SendPacerTest, AsksAfterAPacketThatMayBeLostAndThenLessAndLessOften) {
  SendPacer pacer;
  pacer.OnSent(0, 1000);
  pacer.OnAcknowledged(50'000, 1000, 50);
  EXPECT_FALSE(pacer.TakeProbe(9'000'000));  // nothing is in flight
  pacer.OnSent(10'000'000, 1000);
  std::vector<int> after_ms;
  for (int ms = 0; ms < 5000; ++ms) {
    if (!pacer.TakeProbe(10'000'000 + ms * 1000)) continue;
    after_ms.push_back(ms);
    pacer.OnSent(10'000'000 + ms * 1000, 4);
  }
  EXPECT_EQ(after_ms, (std::vector<int>{200, 600, 1400, 3000, 4600}));
  // Something arrived; on a link of 300 ms.
  pacer.OnAcknowledged(15'000'000, 2000, 300);
  EXPECT_FALSE(pacer.TakeProbe(15'599'000));
  EXPECT_TRUE(pacer.TakeProbe(15'600'000));
}

TEST(SendPacerTest, StandsStillWhenNothingArrivesForTenSeconds) {
  SendPacer pacer;
  EXPECT_FALSE(pacer.StandsStill(60'000'000));
  pacer.OnSent(60'000'000, 1000);
  EXPECT_FALSE(pacer.StandsStill(70'000'000));
  EXPECT_TRUE(pacer.StandsStill(70'000'001));
  pacer.OnSent(69'000'000, 1000);
  pacer.OnAcknowledged(69'500'000, 1000, 50);
  EXPECT_FALSE(pacer.StandsStill(79'500'000));
  EXPECT_TRUE(pacer.StandsStill(79'500'001));
  pacer.OnAcknowledged(79'600'000, 2000, 50);
  EXPECT_FALSE(pacer.StandsStill(99'000'000));
}

TEST(SendPacerTest, AStandstillLowersTheEstimate) {
  SendPacer pacer;
  for (int ms = 0; ms < 500; ms += 10) {
    pacer.OnSent(ms * 1000, 10'000);
    if (ms >= 40) pacer.OnAcknowledged(ms * 1000, pacer.sent() - 50'000, 30);
  }
  const double before = pacer.EstimateKbps(500'000);
  EXPECT_NEAR(before, 8000, 500);
  EXPECT_LT(pacer.EstimateKbps(10'500'000), before / 8);
}

}  // namespace
}  // namespace stac
