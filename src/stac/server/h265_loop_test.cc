// The closed loop over H.265 instead of H.264.
#include <gmock/gmock.h>

#include "test_loop.h"

namespace stac {
namespace {

using ::testing::HasSubstr;

DeviceOptions H265Device() {
  DeviceOptions options;
  options.schedule.keyframe_fps = 5;
  options.encoder.codec = VideoCodec::kH265;
  return options;
}

// The server compares each picture with the encoder's reconstruction (TestLoop asks it to).
TEST(H265LoopTest, EveryKeyframeIsAnsweredAndAChangeOfSizeCostsAnIdr) {
  TestLoop loop(H265Device());
  ASSERT_TRUE(loop.Connect());
  loop.device->Configure({.base_qp = 28, .keyframe_fps = 5});
  int keyframes = 0;
  for (const Frame& frame : Street(16)) {
    if (frame.id == 9) loop.device->Configure({.base_qp = 28, .keyframe_fps = 5, .scale = 0.5});
    const auto step = loop.Advance(frame);
    EXPECT_FALSE(step.labels.empty());
    if (!step.job) continue;
    ++keyframes;
    EXPECT_EQ(step.job->force_idr, frame.id == 0 || frame.id == 9) << frame.id;
    ASSERT_TRUE(step.report);
    EXPECT_EQ(step.report->server.error, "");
    EXPECT_EQ(loop.device->label_age(), 0);
  }
  EXPECT_EQ(keyframes, 6);
}

TEST(H265LoopTest, QpsAreNotBoundToOneParity) {
  TestLoop loop(H265Device());
  ASSERT_TRUE(loop.Connect());
  loop.device->Configure({.base_qp = 28, .keyframe_fps = 5});
  int even = 0, odd = 0;
  for (const Frame& frame : Street(7)) {
    const auto step = loop.Advance(frame);
    if (!step.job) continue;
    for (const uint8_t qp : step.job->qp) ++(qp % 2 == 0 ? even : odd);
  }
  EXPECT_GT(even, 0);
  EXPECT_GT(odd, 0);
}

TEST(H265LoopTest, AnotherCodecThanAnnouncedIsAnError) {
  DeviceOptions h264 = H265Device();
  h264.encoder.codec = VideoCodec::kH264;
  TestLoop announced(H265Device()), other(h264);
  ASSERT_TRUE(announced.Connect());
  ASSERT_TRUE(other.Connect());
  const Frame frame = Street(1)[0];
  other.device->OnFrame(frame);
  const auto job = other.device->PlanKeyframe();
  ASSERT_TRUE(job);
  announced.ToServer(other.device->MakeMessage(*job, *other.device->Encode(*job)));
  ASSERT_EQ(announced.replies.size(), 1u);
  EXPECT_THAT(std::get<ServerStats>(announced.replies[0]).error, HasSubstr("ask for an IDR"));
  EXPECT_EQ(announced.Advance(frame).report->server.error, "");
}

}  // namespace
}  // namespace stac
