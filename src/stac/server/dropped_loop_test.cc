// The closed loop when the server has more keyframes than it can answer.
#include <gtest/gtest.h>

#include "test_loop.h"

namespace stac {
namespace {

constexpr Micros kRoundTrip = 500'000;

// The first frame's answer comes after a long way and no processing, so the window is wide open.
void OpenWindow(TestLoop& loop, const Frame& first) {
  ASSERT_TRUE(loop.Connect());
  loop.Advance(first, false);
  loop.clock.AdvanceTo(kRoundTrip);
  for (const Message& reply : loop.replies) ASSERT_TRUE(loop.device->OnMessage(reply));
  ASSERT_EQ(loop.device->label_source(), first.id);
}

// What the server says at once when the frame comes as a keyframe, without running the network.
std::vector<Message> SaidAtOnce(TestLoop& loop, const Frame& frame) {
  loop.device->OnFrame(frame);
  const auto job = loop.device->PlanKeyframe();
  EXPECT_TRUE(job);
  if (!job) return {};
  auto coded = loop.device->Encode(*job);
  EXPECT_TRUE(coded);
  auto said = loop.server->OnMessage(loop.device->MakeMessage(*job, std::move(*coded)));
  EXPECT_TRUE(said);
  return *said;
}

TEST(DroppedLoopTest, ADroppedKeyframeLeavesOlderOnesAlone) {
  ServerOptions options;
  options.max_waiting = 1;
  options.gradient_every = 100;
  TestLoop loop({}, options);
  const auto frames = Street(4);
  OpenWindow(loop, frames[0]);
  EXPECT_TRUE(SaidAtOnce(loop, frames[1]).empty());
  const auto in_network = loop.server->TakePending();
  ASSERT_TRUE(in_network);
  EXPECT_TRUE(SaidAtOnce(loop, frames[2]).empty());
  loop.clock.AdvanceTo(kRoundTrip + 100'000);
  const auto said = SaidAtOnce(loop, frames[3]);
  ASSERT_EQ(said.size(), 1u);
  const auto& drop = std::get<ServerStats>(said.front());
  EXPECT_EQ(drop.frame, 2u);
  EXPECT_TRUE(drop.dropped());
  EXPECT_DOUBLE_EQ(drop.processing_ms, 100);  // that it waited
  const auto dropped = loop.device->OnMessage(said.front());
  ASSERT_TRUE(dropped && *dropped);
  EXPECT_EQ((*dropped)->frame, 2u);
  EXPECT_EQ((*dropped)->latency_ms, 0);
  EXPECT_EQ(loop.device->unanswered(), 2);

  // The one before it is answered at last: its levels are still known, and the window closes.
  loop.clock.AdvanceTo(kRoundTrip + 1'000'000);
  const auto answer = loop.server->Segment(*in_network, loop.segmenter, 0);
  ASSERT_TRUE(answer);
  EXPECT_FALSE(answer->stats.dropped());
  std::optional<FeedbackReport> report;
  for (const Message& message : answer->messages) {
    const auto absorbed = loop.device->OnMessage(message);
    ASSERT_TRUE(absorbed);
    report = *absorbed;
  }
  ASSERT_TRUE(report);
  EXPECT_EQ(report->frame, 1u);
  EXPECT_DOUBLE_EQ(report->latency_ms, 1000);
  EXPECT_EQ(loop.device->label_source(), 1u);
  EXPECT_EQ(loop.device->unanswered(), 1);
  EXPECT_FALSE(loop.device->KeyframeDue());
}

TEST(DroppedLoopTest, LabelsGoOnMovingHoweverManyKeyframesAreDropped) {
  TestLoop loop, without_keyframes;
  const auto frames = Street(14);
  OpenWindow(loop, frames[0]);
  OpenWindow(without_keyframes, frames[0]);
  for (size_t i = 1; i < frames.size(); ++i) {
    const LabelMap& labels = loop.device->OnFrame(frames[i]);
    EXPECT_EQ(labels, without_keyframes.device->OnFrame(frames[i])) << i;
    const auto job = loop.device->PlanKeyframe();
    ASSERT_TRUE(job);
    EXPECT_FALSE(job->force_idr);
    ASSERT_TRUE(loop.device->OnMessage(
        ServerStats{.frame = frames[i].id, .processing_ms = 50, .decode_ms = 1}));
  }
}

}  // namespace
}  // namespace stac
