// The closed loop when answers are late, lost or refused, and when the server goes away.
#include <gmock/gmock.h>

#include "stac/flow/optical_flow.h"
#include "test_loop.h"

namespace stac {
namespace {

using ::testing::HasSubstr;

TEST(InterruptedLoopTest, LabelsGoOnWhileTheServerIsAwayAndAnIdrStartsAgain) {
  TestLoop loop;
  ASSERT_TRUE(loop.Connect());
  const auto frames = Street(8);
  loop.Advance(frames[0]);
  loop.Advance(frames[1]);
  loop.device->OnDisconnected();
  for (int i = 2; i < 5; ++i) {
    const auto step = loop.Advance(frames[i]);
    EXPECT_FALSE(step.job);
    EXPECT_GT(Accuracy(step.labels, frames[i]), 0.7);
  }
  EXPECT_EQ(loop.device->label_age(), 3);
  ASSERT_TRUE(loop.Connect());  // a server that knows nothing of what went before
  const auto step = loop.Advance(frames[5]);
  ASSERT_TRUE(step.job);
  EXPECT_TRUE(step.job->force_idr);
  EXPECT_EQ(loop.device->label_age(), 0);
}

TEST(InterruptedLoopTest, LabelsGoOnBehindManyServersThatNeverAnswer) {
  TestLoop steady, flapping;
  for (TestLoop* loop : {&steady, &flapping}) ASSERT_TRUE(loop->Connect());
  const auto frames = Street(14);
  for (const Frame& frame : frames) {
    const bool first = frame.id == 0;
    const auto expected = steady.Advance(frame, first);
    if (!first) {
      flapping.device->OnDisconnected();
      ASSERT_TRUE(flapping.Connect());
    }
    const auto step = flapping.Advance(frame, first);
    ASSERT_TRUE(step.job) << frame.id;  // each is a keyframe that nobody answers
    EXPECT_EQ(step.labels, expected.labels) << frame.id;
  }
}

TEST(InterruptedLoopTest, ALostKeyframeIsFollowedByAnIdr) {
  TestLoop loop;
  ASSERT_TRUE(loop.Connect());
  const auto frames = Street(6);
  loop.Advance(frames[0]);
  // Frame 1 is planned and coded, but never reaches the server.
  loop.clock.AdvanceTo(frames[1].pts);
  loop.device->OnFrame(frames[1]);
  auto job = loop.device->PlanKeyframe();
  ASSERT_TRUE(job);
  ASSERT_TRUE(loop.device->Encode(*job));
  loop.device->OnKeyframeLost(frames[1].id);
  const auto step = loop.Advance(frames[2]);
  ASSERT_TRUE(step.job);
  EXPECT_TRUE(step.job->force_idr);
  EXPECT_EQ(step.report->server.error, "");
  EXPECT_EQ(loop.device->label_age(), 0);
}

TEST(InterruptedLoopTest, AnswersThatComeLateAreCarriedToNow) {
  TestLoop loop;
  ASSERT_TRUE(loop.Connect());
  const auto frames = Street(6);
  loop.Advance(frames[0], false);
  const auto late = loop.replies;
  for (int i = 1; i < 4; ++i) {
    loop.clock.AdvanceTo(frames[i].pts);
    loop.device->OnFrame(frames[i]);
    EXPECT_FALSE(loop.device->PlanKeyframe());  // one unanswered keyframe at a time
  }
  for (const Message& message : late) ASSERT_TRUE(loop.device->OnMessage(message));
  EXPECT_EQ(loop.device->label_age(), 3);
  EXPECT_GT(Accuracy(loop.device->labels(), frames[3]), 0.7);
}

TEST(InterruptedLoopTest, LabelsOfAnotherNetworkAreNotShown) {
  TestLoop loop;
  ASSERT_TRUE(loop.Connect());
  const auto frames = Street(3);
  loop.Advance(frames[0]);
  ASSERT_FALSE(loop.device->labels().empty());
  loop.device->OnDisconnected();
  EXPECT_FALSE(loop.device->OnFrame(frames[1]).empty());  // still those of its server
  Profile other = loop.profile;
  other.max_qp -= 1;
  ASSERT_TRUE(loop.device->OnWelcome(
      {.accepted = true, .class_count = TestLoop::kClasses, .profile_json = ToJson(other)}));
  EXPECT_TRUE(loop.device->labels().empty());
  EXPECT_TRUE(loop.device->OnFrame(frames[2]).empty());
}

// From the frame on, whatever is done with it before it becomes a keyframe.
TEST(InterruptedLoopTest, AKeyframesLatencyBeginsWithItsFrame) {
  TestLoop loop;
  ASSERT_TRUE(loop.Connect());
  const auto frames = Street(1);
  loop.device->OnFrame(frames[0]);
  loop.clock.AdvanceTo(300'000);  // of flow, say
  const auto job = loop.device->PlanKeyframe();
  ASSERT_TRUE(job);
  auto coded = loop.device->Encode(*job);
  ASSERT_TRUE(coded);
  loop.ToServer(loop.device->MakeMessage(*job, std::move(*coded)));
  loop.clock.AdvanceTo(400'000);
  double latency_ms = 0;
  for (const Message& message : loop.replies) {
    const auto report = loop.device->OnMessage(message);
    ASSERT_TRUE(report);
    if (*report) latency_ms = (*report)->latency_ms;
  }
  EXPECT_DOUBLE_EQ(latency_ms, 400);
}

TEST(InterruptedLoopTest, RefusalsSayWhy) {
  TestLoop loop;
  ASSERT_TRUE(loop.Connect());
  Hello hello = loop.device->MakeHello();
  hello.profile_hash = "0123456789abcdef";
  EXPECT_THAT(loop.server->OnHello(hello).reason, HasSubstr("calibrate again"));
  hello = loop.device->MakeHello();
  hello.width = 8192;
  EXPECT_THAT(loop.server->OnHello(hello).reason, HasSubstr("smaller size"));
  EXPECT_THAT(
      loop.device->OnWelcome({.accepted = false, .reason = "too many devices"}).error().message,
      HasSubstr("too many devices"));
}

// Codes everything to one byte more than a message carries.
class BoundlessEncoder final : public VideoEncoder {
 public:
  Result<EncodedFrame> Encode(const Frame&, const QpMap*, bool) override {
    EncodedFrame coded;
    coded.access_unit.resize(kMaxPayloadBytes + 1);
    return coded;
  }
  Status SetBitrate(double) override { return OkStatus(); }
  std::string Describe() const override { return "boundless"; }
};

TEST(InterruptedLoopTest, AKeyframeThatNoMessageCarriesIsAnError) {
  TestLoop loop;
  ASSERT_TRUE(loop.Connect());
  const auto encoders = [](const EncoderOptions&) -> Result<std::unique_ptr<VideoEncoder>> {
    return std::make_unique<BoundlessEncoder>();
  };
  DeviceOptions options;
  options.width = TestLoop::kWidth;
  options.height = TestLoop::kHeight;
  DeviceSession device(options, MakeDisFlow({}), encoders, &loop.clock);
  ASSERT_TRUE(device.OnWelcome(loop.server->OnHello(device.MakeHello())));
  device.OnFrame(Street(1)[0]);
  const auto job = device.PlanKeyframe();
  ASSERT_TRUE(job);
  const auto coded = device.Encode(*job);
  ASSERT_FALSE(coded);
  EXPECT_THAT(coded.error().message, HasSubstr("higher --qp"));
}

TEST(InterruptedLoopTest, OnlyKeyframesThatWereNotDecodedNeedAnIdr) {
  TestLoop loop;
  ASSERT_TRUE(loop.Connect());
  const auto frames = Street(4);
  loop.Advance(frames[0]);
  for (const double decode_ms : {2.0, 0.0}) {
    const Frame& frame = frames[decode_ms > 0 ? 1 : 2];
    ASSERT_FALSE(loop.Advance(frame, /*answer=*/false).job->force_idr);
    const auto report = loop.device->OnMessage(
        ServerStats{.frame = frame.id, .decode_ms = decode_ms, .error = "out of memory"});
    ASSERT_TRUE(report && *report);
    EXPECT_EQ(loop.device->unanswered(), 0);
  }
  EXPECT_TRUE(loop.Advance(frames[3]).job->force_idr);
}

TEST(InterruptedLoopTest, BytesThatAreNotVideoAreAnErrorAndAnIdrMendsIt) {
  TestLoop loop;
  ASSERT_TRUE(loop.Connect());
  const auto frames = Street(3);
  loop.Advance(frames[0]);
  CodedFrame garbage{.frame = 1, .idr = true, .access_unit = Bytes(500, 0x5A), .held = 1};
  loop.ToServer(garbage);
  ASSERT_EQ(loop.replies.size(), 1u);
  EXPECT_NE(std::get<ServerStats>(loop.replies[0]).error, "");
  loop.device->OnKeyframeLost(1);
  const auto step = loop.Advance(frames[1]);
  EXPECT_TRUE(step.job->force_idr);
  EXPECT_EQ(step.report->server.error, "");
}

TEST(WelcomeTest, TheRateThatTheServerGrantsMayRise) {
  TestLoop loop({}, {.max_keyframe_fps = 1});
  ASSERT_TRUE(loop.Connect());
  const auto frames = Street(33);  // at 15 frames/s
  for (int i = 0; i < 33; ++i) {
    if (i == 20) {
      ASSERT_TRUE(loop.device->OnMessage(ServerStats{.frame = 0, .max_keyframe_fps = 30}));
    }
    EXPECT_EQ(loop.Advance(frames[i]).job.has_value(), i == 0 || i == 15 || i >= 30) << i;
  }
}

// A profile may come from a file that somebody wrote by hand.
TEST(WelcomeTest, AProfileThatCannotBeSentIsARefusalAndNoCrash) {
  TestLoop loop;
  loop.profile.frames = {
      "a\x7f"
      "b: 0-1"};
  const Status refused = loop.Connect();
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("control character"));
  EXPECT_FALSE(loop.server->accepted());
}

}  // namespace
}  // namespace stac
