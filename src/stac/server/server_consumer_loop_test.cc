// The closed loop with the consumer of the labels at the server: they travel upstream as motion.
#include <gtest/gtest.h>

#include "stac/codec/label_coder.h"
#include "test_loop.h"

namespace stac {
namespace {

DeviceOptions ForServerConsumer() {
  DeviceOptions options;
  options.server_consumes = true;
  options.schedule.keyframe_fps = 3.75;
  return options;
}

TEST(ServerConsumerTest, FindsTheLabelsFromTheirMotion) {
  TestLoop loop(ForServerConsumer());
  ASSERT_TRUE(loop.Connect());
  size_t bytes = 0, bytes_of_labels = 0;
  for (const Frame& frame : Street(12)) {
    const auto step = loop.Advance(frame);
    auto upstream = loop.device->MakeUpstreamLabels();
    ASSERT_TRUE(upstream && *upstream);
    const auto* motion = std::get_if<PropagatedMotion>(&**upstream);
    ASSERT_NE(motion, nullptr);
    bytes += motion->coded.size();
    bytes_of_labels += EncodeLabels(step.labels)->size();
    loop.ToServer(**upstream);
    EXPECT_EQ(loop.server->upstream_frame(), frame.id);
    // The device's are drawn from a coarser grid; the server's may be a few pixels a block off.
    EXPECT_GE(Accuracy(*loop.server->upstream_labels(), frame),
              Accuracy(step.labels, frame) - 0.02);
    if (step.job) {
      EXPECT_EQ(*loop.server->upstream_labels(), loop.found);
    }
  }
  EXPECT_LT(bytes, bytes_of_labels / 4);
}

// A device on which nobody wants labels gets them so coarse that they only tell how they move.
TEST(ServerConsumerTest, CoarseLabelsAreEnoughToTellHowTheyMove) {
  struct Way {
    size_t labels_down = 0;
    double accuracy = 0;
  };
  const auto run = [](bool coarse) {
    DeviceOptions options = ForServerConsumer();
    options.coarse_labels = coarse;
    TestLoop loop(options);
    EXPECT_TRUE(loop.Connect());
    Way way;
    for (const Frame& frame : Street(12)) {
      const auto step = loop.Advance(frame);
      if (step.job) {
        for (const Message& reply : loop.replies)
          if (const auto* labels = std::get_if<Labels>(&reply))
            way.labels_down += labels->coded.size();
      }
      loop.ToServer(**loop.device->MakeUpstreamLabels());
      way.accuracy += Accuracy(*loop.server->upstream_labels(), frame) / 12;
    }
    return way;
  };
  const Way fine = run(false), coarse = run(true);
  EXPECT_LT(coarse.labels_down, fine.labels_down / 2);
  EXPECT_GT(coarse.accuracy, fine.accuracy - 0.03);
}

TEST(ServerConsumerTest, LabelsThatNobodyAnnouncedAreRefused) {
  TestLoop loop;
  ASSERT_TRUE(loop.Connect());
  const LabelMap labels(TestLoop::kWidth, TestLoop::kHeight);
  const auto refused = loop.server->OnMessage(PropagatedLabels{.coded = *EncodeLabels(labels)});
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("did not announce"), std::string::npos);
  EXPECT_FALSE(loop.server->OnMessage(PropagatedMotion{}));
}

TEST(ServerConsumerTest, NoticesNothingOfTheCodedSize) {
  TestLoop loop(ForServerConsumer());
  ASSERT_TRUE(loop.Connect());
  for (const Frame& frame : Street(12)) {
    loop.device->Configure({.keyframe_fps = 3.75, .scale = frame.id < 6 ? 1 : 0.5});
    const auto step = loop.Advance(frame);
    auto upstream = loop.device->MakeUpstreamLabels();
    ASSERT_TRUE(upstream && *upstream);
    EXPECT_TRUE(std::holds_alternative<PropagatedMotion>(**upstream));
    loop.ToServer(**upstream);
    EXPECT_EQ(loop.server->upstream_frame(), frame.id);
    EXPECT_GE(Accuracy(*loop.server->upstream_labels(), frame),
              Accuracy(step.labels, frame) - 0.02);
  }
}

TEST(ServerConsumerTest, LostMotionIsMadeGoodByTheNextKeyframe) {
  TestLoop loop(ForServerConsumer());
  ASSERT_TRUE(loop.Connect());
  std::vector<FrameId> missing;
  for (const Frame& frame : Street(9)) {
    loop.Advance(frame);
    auto upstream = loop.device->MakeUpstreamLabels();
    ASSERT_TRUE(upstream && *upstream);
    if (frame.id != 1) loop.ToServer(**upstream);
    if (loop.server->upstream_frame() != frame.id) missing.push_back(frame.id);
  }
  EXPECT_EQ(missing, (std::vector<FrameId>{1, 2, 3}));  // keyframes are 0, 4, 8
}

TEST(ServerConsumerTest, AfterReconnectingTheServerGetsLabelsUntilItHasItsOwn) {
  TestLoop loop(ForServerConsumer());
  ASSERT_TRUE(loop.Connect());
  const auto frames = Street(3);
  loop.Advance(frames[0]);
  loop.device->OnDisconnected();
  ASSERT_TRUE(loop.Connect());
  loop.device->OnFrame(frames[1]);
  auto upstream = loop.device->MakeUpstreamLabels();
  ASSERT_TRUE(upstream && *upstream);
  EXPECT_TRUE(std::holds_alternative<PropagatedLabels>(**upstream));
  loop.ToServer(**upstream);
  EXPECT_EQ(*loop.server->upstream_labels(), loop.device->labels());
  ASSERT_TRUE(loop.Advance(frames[2]).job);
  upstream = loop.device->MakeUpstreamLabels();
  EXPECT_TRUE(std::holds_alternative<PropagatedMotion>(**upstream));
}

}  // namespace
}  // namespace stac
