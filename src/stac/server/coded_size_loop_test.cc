// The closed loop while the size changes at which keyframes are coded.
#include <gmock/gmock.h>

#include <map>

#include "stac/codec/qp_plan.h"
#include "test_loop.h"

namespace stac {
namespace {

using ::testing::HasSubstr;

TEST(CodedSizeTest, TheCodedSizeChangesWithAnIdrAndWithoutALossOfLabels) {
  TestLoop loop;
  ASSERT_TRUE(loop.Connect());
  auto decoder = MakeVideoDecoder({.want_qp = true});
  ASSERT_TRUE(decoder);
  QpAudit audit;
  const std::map<FrameId, double> changes = {{3, 0.5}, {6, 0.75}, {9, 1}};
  double scale = 1;
  for (const Frame& frame : Street(12)) {
    const bool change = changes.contains(frame.id);
    if (change) scale = changes.at(frame.id);
    loop.device->Configure({.base_qp = 24, .scale = scale});
    const auto step = loop.Advance(frame);
    ASSERT_TRUE(step.job) << frame.id;
    const Size size = CodedSize({TestLoop::kWidth, TestLoop::kHeight}, scale);
    EXPECT_EQ((Size{step.job->frame.width(), step.job->frame.height()}), size);
    EXPECT_EQ(step.job->force_idr, frame.id == 0 || change) << frame.id;
    ASSERT_TRUE(step.report);
    EXPECT_EQ(step.report->server.error, "");  // its picture is the encoder's, bit for bit
    EXPECT_EQ(loop.device->label_age(), 0);
    EXPECT_GT(Accuracy(step.labels, frame), 0.8) << frame.id;
    // Labels and levels have the full size, and are coded against those before the change.
    EXPECT_TRUE(step.labels.SameSize(TestLoop::kWidth, TestLoop::kHeight));
    EXPECT_TRUE(loop.levels.SameSize(TestLoop::kWidth / 16, TestLoop::kHeight / 16));
    for (const Message& reply : loop.replies) {
      const auto* labels = std::get_if<Labels>(&reply);
      if (labels != nullptr && frame.id > 0) {
        EXPECT_EQ(labels->previous, frame.id - 1);
      }
    }
    const auto decoded = (*decoder)->Decode(step.access_unit);
    ASSERT_TRUE(decoded) << decoded.error().message;
    EXPECT_EQ((Size{decoded->frame.width(), decoded->frame.height()}), size);
    EXPECT_EQ(decoded->idr, step.job->force_idr);
    audit.Add(AuditQp(step.job->qp, *decoded->qp, AnchorQp(step.job->qp)));
  }
  EXPECT_EQ(audit.mismatched, 0);
  EXPECT_GT(audit.followed, audit.macroblocks / 10);
}

TEST(CodedSizeTest, AKeyframeIsCodedAtTheSizeItWasPlannedAt) {
  TestLoop loop;
  ASSERT_TRUE(loop.Connect());
  const auto frames = Street(3);
  loop.Advance(frames[0]);
  loop.clock.AdvanceTo(frames[1].pts);
  loop.device->OnFrame(frames[1]);
  const auto job = loop.device->PlanKeyframe();
  ASSERT_TRUE(job);
  loop.device->Configure({.scale = 0.5});  // while it waits for the encoder
  auto coded = loop.device->Encode(*job);
  ASSERT_TRUE(coded);
  EXPECT_FALSE(coded->idr);
  EXPECT_EQ(coded->reconstruction.width(), TestLoop::kWidth);
  loop.ToServer(loop.device->MakeMessage(*job, std::move(*coded)));
  for (const Message& reply : loop.replies) ASSERT_TRUE(loop.device->OnMessage(reply));
  const auto step = loop.Advance(frames[2]);
  ASSERT_TRUE(step.job);
  EXPECT_TRUE(step.job->force_idr);
  EXPECT_EQ(step.job->frame.width(), TestLoop::kWidth / 2);
  EXPECT_EQ(step.report->server.error, "");
}

TEST(CodedSizeTest, AnEncoderThatDoesNotOpenCostsAKeyframeOnly) {
  ManualClock clock;
  bool broken = false;
  DeviceSession device(
      {.width = 64, .height = 32}, MakeDisFlow({.downscale = 1}),
      [&](const EncoderOptions& options) -> Result<std::unique_ptr<VideoEncoder>> {
        if (broken) return Fail("no encoder of {} columns", options.width);
        return MakeX264Encoder(options);
      },
      &clock);
  const Profile profile = UncalibratedProfile("fake", "0123456789abcdef", 2);
  ASSERT_TRUE(
      device.OnWelcome({.accepted = true, .class_count = 2, .profile_json = ToJson(profile)}));
  device.OnFrame(MakeGreyFrame(64, 32));
  device.Configure({.scale = 0.5});
  auto job = device.PlanKeyframe();
  ASSERT_TRUE(job);
  broken = true;
  EXPECT_THAT(device.Encode(*job).error().message, HasSubstr("32 columns"));
  device.OnKeyframeLost(job->frame.id);
  broken = false;
  Frame next = MakeGreyFrame(64, 32);
  next.id = 1;
  next.pts = 66'667;
  device.OnFrame(next);
  job = device.PlanKeyframe();
  ASSERT_TRUE(job);
  EXPECT_TRUE(job->force_idr);
  EXPECT_TRUE(device.Encode(*job));
}

TEST(CodedSizeTest, PicturesOfOtherSizesAreRefusedWithASentence) {
  for (const Size size : {Size{318, 96}, Size{322, 192}, Size{76, 46}, Size{192, 320}}) {
    TestLoop loop;
    ASSERT_TRUE(loop.Connect());
    auto encoder =
        MakeX264Encoder({.width = size.width, .height = size.height, .mode = RateMode::kCrf});
    ASSERT_TRUE(encoder);
    auto coded = (*encoder)->Encode(MakeGreyFrame(size.width, size.height), nullptr, true);
    ASSERT_TRUE(coded) << coded.error().message;
    const auto answer =
        loop.server->OnMessage(CodedFrame{.idr = true, .access_unit = coded->access_unit});
    ASSERT_FALSE(answer) << size.width;
    EXPECT_THAT(answer.error().message,
                HasSubstr("320x192 was announced, so it may be that or down to a quarter"));
    EXPECT_EQ(loop.server->waiting(), 0);
  }
}

}  // namespace
}  // namespace stac
