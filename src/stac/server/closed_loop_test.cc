#include <gmock/gmock.h>
#include <malloc.h>

#include <algorithm>

#include "stac/codec/qp_plan.h"
#include "test_loop.h"

namespace stac {
namespace {

using ::testing::HasSubstr;

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

// What a network on a GPU answers with.
TEST(ClosedLoopTest, SumsOverRegionsLeadToTheLevelsOfTheirGradients) {
  TestLoop loop;
  ASSERT_TRUE(loop.Connect());
  const Frame frame = Street(1).front();
  loop.device->OnFrame(frame);
  const auto job = loop.device->PlanKeyframe();
  ASSERT_TRUE(job);
  auto coded = loop.device->Encode(*job);
  ASSERT_TRUE(coded);
  ASSERT_TRUE(loop.server->OnMessage(loop.device->MakeMessage(*job, std::move(*coded))));
  const auto pending = loop.server->TakePending();
  ASSERT_TRUE(pending);
  const Objective* objective = loop.server->NextObjective(*pending);
  ASSERT_NE(objective, nullptr);
  const RegionGrid regions{TestLoop::kWidth, TestLoop::kHeight, objective->sums.region_size};
  ASSERT_EQ(objective->sums, RegionSumsFor(regions, {}));
  auto segmentation = loop.segmenter.RunWithGradient(pending->frame, *objective);
  ASSERT_TRUE(segmentation);
  Segmentation summed = *segmentation;
  summed.sums = RegionSensitivity(segmentation->gradients, regions);
  summed.gradients.clear();
  const auto plain = loop.server->Answer(*pending, *segmentation, 0);
  const auto short_cut = loop.server->Answer(*pending, summed, 0);
  ASSERT_TRUE(plain && short_cut);
  EXPECT_FALSE(plain->levels.empty());
  EXPECT_EQ(plain->levels, short_cut->levels);
  EXPECT_EQ(plain->sensitivity, short_cut->sensitivity);
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

TEST(ClosedLoopTest, RefinementGoesOnAtAReducedSize) { EXPECT_GT(KeyframesRefined(7, 3), 0); }

// Levels of the ladder before mean nothing on this one.
TEST(ClosedLoopTest, RefinementSurvivesAServerWithFewerLevels) {
  DeviceOptions options;
  options.refine_residual = true;
  TestLoop loop(options);
  loop.profile.level_count = 16;
  ASSERT_TRUE(loop.Connect());
  const auto frames = Street(8);
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(loop.Advance(frames[i]).report);
  loop.profile.level_count = 2;
  ASSERT_TRUE(loop.Connect());
  for (int i = 4; i < 8; ++i) {
    const auto step = loop.Advance(frames[i]);
    ASSERT_TRUE(step.report);
    EXPECT_EQ(step.report->server.error, "");
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

}  // namespace
}  // namespace stac
