#include <gmock/gmock.h>
#include <malloc.h>

#include <algorithm>
#include <map>

#include "stac/codec/label_coder.h"
#include "stac/video/accuracy.h"
#include "test_loop.h"

namespace stac {
namespace {

using ::testing::HasSubstr;

std::vector<Frame> Street(int count, bool camera_moves = true) {
  const SyntheticScene scene({.width = TestLoop::kWidth,
                              .height = TestLoop::kHeight,
                              .frame_count = count,
                              .noise = camera_moves ? 2.0 : 0.0,
                              .camera_moves = camera_moves});
  std::vector<Frame> frames;
  for (int i = 0; i < count; ++i) frames.push_back(scene.Render(i).frame);
  return frames;
}

double Accuracy(const LabelMap& labels, const Frame& frame) {
  FakeSegmenter segmenter(TestLoop::kClasses);
  ConfusionMatrix matrix(TestLoop::kClasses);
  matrix.Add(segmenter.Run(frame)->labels, labels);
  return matrix.PixelAccuracy();
}

TEST(ClosedLoopTest, EveryFrameHasLabelsAndThePlanIsTheBitstream) {
  DeviceOptions options;
  options.schedule.keyframe_fps = 5;
  TestLoop loop(options);
  ASSERT_TRUE(loop.Connect());
  loop.device->Configure({.base_qp = 24, .keyframe_fps = 5});
  auto decoder = MakeVideoDecoder({.want_qp = true});
  ASSERT_TRUE(decoder);
  QpAudit audit;
  int keyframes = 0;
  for (const Frame& frame : Street(16)) {
    const auto step = loop.Advance(frame);
    ASSERT_FALSE(step.labels.empty()) << frame.id;
    EXPECT_GT(Accuracy(step.labels, frame), 0.8) << frame.id;
    if (!step.job) continue;
    ++keyframes;
    ASSERT_TRUE(step.report);
    EXPECT_EQ(step.report->server.error, "");
    EXPECT_EQ(loop.device->label_age(), 0);
    const auto decoded = (*decoder)->Decode(step.access_unit);
    ASSERT_TRUE(decoded) << decoded.error().message;
    audit.Add(AuditQp(step.job->qp, *decoded->qp, AnchorQp(step.job->qp)));
  }
  EXPECT_EQ(keyframes, 6);  // 15 frames/s, 5 keyframes/s: 0, 3, ..., 15
  EXPECT_EQ(audit.mismatched, 0);
  EXPECT_GT(audit.followed, audit.macroblocks / 10);
}

TEST(ClosedLoopTest, SensitiveMacroblocksGetFinerQps) {
  DeviceOptions options;
  options.planner.aq_strength = 0;
  TestLoop loop(options);
  ASSERT_TRUE(loop.Connect());
  const auto frames = Street(3, false);
  loop.Advance(frames[0]);
  const SensitivityMap sensitivity = loop.sensitivity;
  const auto step = loop.Advance(frames[1]);
  ASSERT_TRUE(step.job);
  // The quarter that is most sensitive against the quarter that is least.
  std::vector<float> sorted(sensitivity.begin(), sensitivity.end());
  std::sort(sorted.begin(), sorted.end());
  const float low = sorted[sorted.size() / 4];
  const float high = sorted[sorted.size() * 3 / 4];
  double fine = 0, coarse = 0, fine_count = 0, coarse_count = 0;
  for (size_t i = 0; i < sensitivity.size(); ++i) {
    if (sensitivity[i] >= high) fine += step.job->qp[i], ++fine_count;
    if (sensitivity[i] <= low) coarse += step.job->qp[i], ++coarse_count;
  }
  EXPECT_LT(fine / fine_count + 3, coarse / coarse_count);
}

TEST(ClosedLoopTest, WithoutMotionLabelsAndLevelsStayAsTheyWere) {
  DeviceOptions options;
  options.schedule.keyframe_fps = 7.5;
  TestLoop loop(options);
  ASSERT_TRUE(loop.Connect());
  Frame still = Street(1, false)[0];
  still.id = 0;
  const auto first = loop.Advance(still);
  still.id = 1, still.pts = 66'667;
  EXPECT_EQ(loop.Advance(still).labels, first.labels);
  const LevelMap levels = loop.levels;
  still.id = 2, still.pts = 133'333;
  const auto next = loop.Advance(still, false);
  ASSERT_TRUE(next.job);
  EXPECT_EQ(next.job->levels, levels);
  EXPECT_EQ(next.labels, first.labels);
}

TEST(ClosedLoopTest, TheRuleOfThePaperRunsToo) {
  ServerOptions server;
  server.rule = AllocationRule::kPaper;
  TestLoop loop({}, server);
  loop.profile.budget_of_level0 = 1;
  loop.profile.typical_sensitivity = 1;
  loop.profile.gradients.luma4.fill(1);
  ASSERT_TRUE(loop.Connect());
  for (const Frame& frame : Street(3)) {
    const auto step = loop.Advance(frame);
    ASSERT_TRUE(step.report);
    EXPECT_EQ(step.report->server.error, "");
  }
}

const Levels& LevelsIn(const std::vector<Message>& replies) {
  const auto found = std::find_if(replies.begin(), replies.end(), [](const Message& message) {
    return std::holds_alternative<Levels>(message);
  });
  return std::get<Levels>(*found);
}

TEST(ClosedLoopTest, BetweenGradientsTheDeviceGoesOnWithItsLevels) {
  ServerOptions server;
  server.gradient_every = 3;
  TestLoop loop({}, server);
  ASSERT_TRUE(loop.Connect());
  Frame still = Street(1, false)[0];
  LevelMap newest;
  for (FrameId i = 0; i < 8; ++i) {
    still.id = i;
    still.pts = Micros{i} * 66'667;
    const auto step = loop.Advance(still);
    ASSERT_TRUE(step.report) << i;
    EXPECT_EQ(step.report->server.error, "");
    EXPECT_EQ(loop.device->label_age(), 0);
    EXPECT_EQ(step.job->levels, newest) << i;
    const Levels& levels = LevelsIn(loop.replies);
    EXPECT_EQ(levels.coded.empty(), i % 3 != 0) << i;
    EXPECT_EQ(loop.levels.empty(), i % 3 != 0) << i;
    EXPECT_EQ(levels.previous, i);  // the device's own levels are no reference
    if (i % 3 == 0) newest = loop.levels;
  }
  // A device that holds nothing gets levels at once.
  loop.device->OnDisconnected();
  ASSERT_TRUE(loop.Connect());
  for (FrameId i = 8; i < 10; ++i) {
    still.id = i;
    still.pts = Micros{i} * 66'667;
    loop.Advance(still);
    EXPECT_EQ(LevelsIn(loop.replies).coded.empty(), i == 9);
  }
}

// With motion, the levels that stay are those that were carried to the keyframe.
TEST(ClosedLoopTest, KeptLevelsAreThosePlannedWith) {
  ServerOptions server;
  server.gradient_every = 100;
  TestLoop every, seldom({}, server);
  ASSERT_TRUE(every.Connect());
  ASSERT_TRUE(seldom.Connect());
  for (const Frame& frame : Street(6)) {
    const auto step = seldom.Advance(frame);
    ASSERT_TRUE(step.report);
    EXPECT_EQ(step.report->server.error, "");
    EXPECT_EQ(step.job->levels.empty(), frame.id == 0);
    if (frame.id > 1) continue;
    EXPECT_EQ(step.job->levels, every.Advance(frame).job->levels);
  }
}

TEST(ClosedLoopTest, AnswersWithoutAnyLevelsAreRefused) {
  TestLoop loop;
  ASSERT_TRUE(loop.Connect());
  loop.Advance(Street(1)[0], false);
  const auto absorbed = loop.device->OnMessage(Levels{.frame = 0, .previous = 0});
  ASSERT_FALSE(absorbed);
  EXPECT_THAT(absorbed.error().message, HasSubstr("no levels"));
}

// How many of a street's keyframes refinement (eq. 7) plans at other levels; with `reduced_from`,
// from which on frames are coded at half size, how many of those after it.
int KeyframesRefined(int frames, std::optional<FrameId> reduced_from) {
  DeviceOptions options;
  options.refine_residual = true;
  TestLoop plain, refining(options);
  EXPECT_TRUE(plain.Connect());
  EXPECT_TRUE(refining.Connect());
  int changed = 0;
  for (const Frame& frame : Street(frames)) {
    for (TestLoop* loop : {&plain, &refining}) {
      loop->device->Configure({.scale = reduced_from && frame.id >= *reduced_from ? 0.5 : 1});
    }
    const auto step = refining.Advance(frame);
    EXPECT_TRUE(step.report);
    if (step.report) {
      EXPECT_EQ(step.report->server.error, "");
    }
    const bool differ = step.job->levels != plain.Advance(frame).job->levels;
    changed += differ && (!reduced_from || frame.id > *reduced_from);
  }
  return changed;
}

TEST(ClosedLoopTest, RefinedLevelsAreCodedAsPlanned) {
  EXPECT_GT(KeyframesRefined(5, std::nullopt), 0);
}

TEST(ClosedLoopTest, TheCodedSizeChangesWithAnIdrAndWithoutALossOfLabels) {
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

TEST(ClosedLoopTest, AKeyframeIsCodedAtTheSizeItWasPlannedAt) {
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

TEST(ClosedLoopTest, AnEncoderThatDoesNotOpenCostsAKeyframeOnly) {
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

TEST(ClosedLoopTest, RefinementGoesOnAtAReducedSize) { EXPECT_GT(KeyframesRefined(7, 3), 0); }

TEST(ClosedLoopTest, PicturesOfOtherSizesAreRefusedWithASentence) {
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

TEST(ClosedLoopTest, MemoryDoesNotGrowOverTwoThousandFrames) {
  DeviceOptions options;
  options.schedule.keyframe_fps = 3;
  TestLoop loop(options);
  ASSERT_TRUE(loop.Connect());
  auto frames = Street(16);
  size_t before = 0;
  for (FrameId i = 0; i < 2000; ++i) {
    Frame frame = frames[i % 16];
    frame.id = i;
    frame.pts = Micros{i} * 66'667;
    loop.Advance(frame);
    if (i == 500) before = mallinfo2().uordblks + mallinfo2().hblkhd;
  }
  const size_t after = mallinfo2().uordblks + mallinfo2().hblkhd;
  EXPECT_LT(after, before + (64u << 10)) << "bytes in use grew over 1500 frames";
}

TEST(ClosedLoopTest, TheServersLimitOfTheKeyframeRateIsKept) {
  ServerOptions server;
  server.max_keyframe_fps = 3;
  TestLoop loop({}, server);
  ASSERT_TRUE(loop.Connect());
  loop.device->Configure({.base_qp = 30, .keyframe_fps = 15});
  int keyframes = 0;
  for (const Frame& frame : Street(10)) keyframes += loop.Advance(frame).job.has_value();
  EXPECT_EQ(keyframes, 2);  // 15 frames/s, at most 3 keyframes/s: frames 0 and 5
}

TEST(ClosedLoopTest, LabelsGoOnWhileTheServerIsAwayAndAnIdrStartsAgain) {
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

TEST(ClosedLoopTest, ALostKeyframeIsFollowedByAnIdr) {
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

TEST(ClosedLoopTest, AnswersThatComeLateAreCarriedToNow) {
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

DeviceOptions ForServerConsumer() {
  DeviceOptions options;
  options.server_consumes = true;
  options.schedule.keyframe_fps = 3.75;
  return options;
}

double Agreement(const LabelMap& a, const LabelMap& b) {
  size_t equal = 0;
  for (size_t i = 0; i < a.size(); ++i) equal += a[i] == b[i];
  return static_cast<double>(equal) / static_cast<double>(a.size());
}

TEST(ClosedLoopTest, ServerConsumerFindsTheLabelsFromTheirMotion) {
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
    // A keyframe's own labels lie still; others may be a few pixels a block off.
    EXPECT_GE(Agreement(*loop.server->upstream_labels(), step.labels), step.job ? 1.0 : 0.95);
  }
  EXPECT_LT(bytes, bytes_of_labels / 4);
}

TEST(ClosedLoopTest, ServerConsumerNoticesNothingOfTheCodedSize) {
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
    EXPECT_GE(Agreement(*loop.server->upstream_labels(), step.labels), step.job ? 1.0 : 0.95);
  }
}

TEST(ClosedLoopTest, LostMotionIsMadeGoodByTheNextKeyframe) {
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

TEST(ClosedLoopTest, AfterReconnectingTheServerGetsLabelsUntilItHasItsOwn) {
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

TEST(ClosedLoopTest, RefusalsSayWhy) {
  TestLoop loop;
  ASSERT_TRUE(loop.Connect());
  Hello hello = loop.device->MakeHello();
  hello.profile_hash = "0123456789abcdef";
  EXPECT_THAT(loop.server->OnHello(hello).reason, HasSubstr("calibrate again"));
  hello = loop.device->MakeHello();
  hello.width = 8192;
  EXPECT_THAT(loop.server->OnHello(hello).reason, HasSubstr("smaller size"));
  hello = loop.device->MakeHello();
  hello.version = 99;
  EXPECT_THAT(loop.server->OnHello(hello).reason, HasSubstr("protocol"));
  EXPECT_THAT(
      loop.device->OnWelcome({.accepted = false, .reason = "too many devices"}).error().message,
      HasSubstr("too many devices"));
}

TEST(ClosedLoopTest, BytesThatAreNotVideoAreAnErrorAndAnIdrMendsIt) {
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

}  // namespace
}  // namespace stac
