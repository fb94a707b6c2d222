#include "stac/device/send_gate.h"

#include <gtest/gtest.h>

#include <cmath>

namespace stac {
namespace {

constexpr ControlDecision kDecision = {.base_qp = 30, .keyframe_fps = 5};

TEST(SendGateTest, WaitsForWhatIsOnItsWay) {
  const SendGate gate({.max_backlog_ms = 300});
  LinkStats stats{.rtt_ms = 50};
  stats.unsent_bytes = 17'500;  // 350 ms at 400 kb/s: 300 and the round trip
  EXPECT_TRUE(gate.MayCode(0, kDecision, stats, 400));
  stats.unsent_bytes = 17'600;
  EXPECT_FALSE(gate.MayCode(0, kDecision, stats, 400));
  EXPECT_TRUE(gate.MayCode(0, kDecision, stats, 800));
  EXPECT_TRUE(gate.MayCode(0, kDecision, stats, std::nullopt));
  EXPECT_FALSE(gate.MayCode(0, kDecision, stats, 0.0));  // known to carry nothing
  EXPECT_TRUE(gate.MayCode(0, kDecision, {}, 0.0));
  EXPECT_TRUE(SendGate({.max_backlog_ms = 0}).MayCode(0, kDecision, stats, 400));
}

TEST(SendGateTest, SpareKeyframesGoOnlyWhenTheLinkWouldRunDry) {
  const SendGate gate({.spare = 2, .frame_interval_ms = 40});
  EXPECT_EQ(gate.KeyframeRate(kDecision, true), 10);
  EXPECT_EQ(gate.KeyframeRate(kDecision, false), 5);
  LinkStats stats{.rtt_ms = 50};
  stats.unsent_bytes = 4500;  // 90 ms at 400 kb/s: the next frame and the round trip
  EXPECT_TRUE(gate.MayCode(0, kDecision, stats, 400));
  stats.unsent_bytes = 4600;
  EXPECT_FALSE(gate.MayCode(0, kDecision, stats, 400));
  EXPECT_TRUE(SendGate({.spare = 1}).MayCode(0, kDecision, stats, 400));
}

TEST(SendGateTest, KeepsASegmentToItsBandwidthIfItIsToldTo) {
  SendGate holding({}), free({.hold_to_bandwidth = false});
  for (SendGate* gate : {&holding, &free}) {
    gate->StartSegment(0, 100);
    gate->OnCoded(2500, kDecision, false);  // 20 of the 25 kb that are allowed at once
  }
  EXPECT_FALSE(holding.MayCode(0, kDecision, {}, 100));
  EXPECT_TRUE(free.MayCode(0, kDecision, {}, 100));
  ControlDecision small = kDecision;
  small.scale = 0.5;
  small.base_qp = 36;  // half of half the bits, or less
  EXPECT_TRUE(holding.MayCode(0, small, {}, 100));
}

TEST(SendGateTest, CodesCoarserWhatWouldNotLeaveRoomForTheRest) {
  SendGate gate({.spare = 2, .frame_interval_ms = 40, .coarser = 4});
  const auto qp = [&](double keyframe_fps) {
    return gate.ForKeyframe({.base_qp = 30, .keyframe_fps = keyframe_fps}).base_qp;
  };
  EXPECT_EQ(qp(5), 30);  // nothing is known yet
  gate.StartSegment(0, 100);
  EXPECT_EQ(qp(5), 30);
  gate.OnCoded(1250, kDecision, false);  // 10 kb: as many as may go, 10 a second, fit exactly
  EXPECT_DOUBLE_EQ(qp(5), 30);
  EXPECT_DOUBLE_EQ(qp(2), 30);  // what would fit is not coded finer
  EXPECT_DOUBLE_EQ(qp(7), 30 + 6 * std::log2(1.4));
  EXPECT_DOUBLE_EQ(qp(10), 34);   // 6 QP would be needed
  EXPECT_DOUBLE_EQ(qp(100), 34);  // there are 25 frames a second
  gate.OnCoded(1250, gate.ForKeyframe({.base_qp = 30, .keyframe_fps = 7}), false);
  EXPECT_GT(qp(5), 30);  // as large, although it was coarser
  EXPECT_EQ(SendGate({.spare = 2}).ForKeyframe(kDecision), kDecision);
}

TEST(SendGateTest, NothingIsCoarserWhileTheLinkIsUnknown) {
  SendGate gate({.coarser = 4});
  gate.StartSegment(0, 0);
  gate.OnCoded(100'000, kDecision, false);
  EXPECT_EQ(gate.ForKeyframe(kDecision), kDecision);
}

}  // namespace
}  // namespace stac
