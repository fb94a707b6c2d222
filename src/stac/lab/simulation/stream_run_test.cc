#include "stac/lab/simulation/stream_run.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>

#include "stac/lab/test_tools.h"
#include "stac/propagate/warp.h"
#include "stac/segment/fake_segmenter.h"

namespace stac {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::Ge;
using ::testing::Le;

// Says the same every second, or what it is told to say from some second on.
class Scripted final : public Controller {
 public:
  explicit Scripted(ControlDecision always) : always_(always) {}
  ControlDecision Decide(const ControlInput& input) override {
    inputs.push_back(input);
    const auto found = from_call.upper_bound(inputs.size());
    return found == from_call.begin() ? always_ : std::prev(found)->second;
  }
  std::map<size_t, ControlDecision> from_call;
  std::vector<ControlInput> inputs;

 private:
  ControlDecision always_;
};

class StreamRunTest : public ::testing::Test {
 protected:
  StreamRunTest()
      : tools_(TestTools()),
        clip_(LoadClip({.name = "street", .source = "any", .frames = 12}, tools_).value()),
        frames_(clip_, tools_),
        profile_(UncalibratedProfile("fake", network_.info().hash, 8)) {
    for (const Frame& frame : clip_.frames) {
      reference_.push_back(network_.Run(frame).value().labels);
      importance_.emplace_back(8, 6, 1.0f);
    }
    options_.seconds = 6;
    options_.start = {.base_qp = 30, .keyframe_fps = 5};
    options_.compute.flow_ms = 4;
  }

  StreamResult Run(const std::string& system, const Trace& trace) {
    Scripted controller(options_.start);
    return Run(system, trace, controller);
  }
  StreamResult Run(const std::string& system, const Trace& trace, Controller& controller) {
    const StreamInputs inputs{.clip = clip_,
                              .network = network_,
                              .profile = profile_,
                              .reference = reference_,
                              .importance = &importance_};
    const auto spec = SystemSpec::Parse(system);
    EXPECT_TRUE(spec.has_value()) << spec.error().message;
    auto result = RunStream(*spec, inputs, frames_, trace, controller, options_, tools_);
    EXPECT_TRUE(result.has_value()) << result.error().message;
    return result ? *result : StreamResult{};
  }

  LabTools tools_;
  FakeSegmenter network_{8};
  Clip clip_;
  LoopedClip frames_;
  Profile profile_;
  std::vector<LabelMap> reference_;
  std::vector<SensitivityMap> importance_;
  StreamOptions options_;
};

TEST_F(StreamRunTest, ClipsPlayForwardsAndBackwards) {
  Clip three = clip_;
  three.frames.resize(3);
  const LoopedClip loop(three, tools_);
  std::vector<size_t> shown;
  for (FrameId id = 0; id < 7; ++id) shown.push_back(loop.ClipFrame(id));
  EXPECT_THAT(shown, ElementsAre(0, 1, 2, 1, 0, 1, 2));
  EXPECT_EQ(loop.At(6).pts, 600'000);
  EXPECT_TRUE(SamePixels(loop.At(6), three.frames[2]));
}

TEST_F(StreamRunTest, MotionFollowsTheDirectionOfPlay) {
  // The last frame carried along the motion is closer to the next one than as it is, both ways.
  const LoopedClip loop(clip_, tools_);
  const auto flow = loop.MakeFlow();
  for (const FrameId id : {6u, 16u}) {
    LabelMap before(clip_.width(), clip_.height()), carried;
    for (int y = 0; y < before.height(); ++y) {
      std::copy_n(loop.At(id - 1).y().Row(y), before.width(), before.Row(y).begin());
    }
    FlowField motion;
    flow->Next(loop.At(id), motion);
    WarpLabels(before, motion, carried);
    double still = 0, moved = 0;
    for (int y = 0; y < before.height(); ++y) {
      for (int x = 0; x < before.width(); ++x) {
        still += std::abs(before(x, y) - loop.At(id).y().At(x, y));
        moved += std::abs(carried(x, y) - loop.At(id).y().At(x, y));
      }
    }
    EXPECT_LT(moved, 0.9 * still) << id;
  }
}

TEST_F(StreamRunTest, IsDeterministic) {
  options_.link.jitter_ms = 10;
  options_.link.loss = 0.02;
  options_.oracle = false;
  const StreamResult a = Run("stac", SyntheticWifiTrace(6, 3));
  const StreamResult b = Run("stac", SyntheticWifiTrace(6, 3));
  ASSERT_EQ(a.frames.size(), 60u);
  ASSERT_EQ(a.seconds.size(), 6u);
  for (size_t i = 0; i < a.frames.size(); ++i) EXPECT_EQ(a.frames[i].pa, b.frames[i].pa) << i;
  for (size_t i = 0; i < a.seconds.size(); ++i) {
    EXPECT_EQ(a.seconds[i].coded_kbps, b.seconds[i].coded_kbps) << i;
    EXPECT_EQ(a.seconds[i].told_kbps, b.seconds[i].told_kbps) << i;
  }
}

TEST_F(StreamRunTest, KeyframesThatDoNotFitAreCodedCoarserRatherThanDropped) {
  options_.start = {.base_qp = 22, .keyframe_fps = 5};  // far too fine for this link
  const Trace trace = ConstantTrace(25);
  Scripted as_decided(options_.start), coarser(options_.start);
  const auto keyframes = [&](Controller& controller) {
    int count = 0;
    for (const SecondOutcome& second : Run("stac", trace, controller).seconds) {
      EXPECT_EQ(second.decision.base_qp, 22);
      count += second.keyframes;
    }
    return count;
  };
  const int few = keyframes(as_decided);
  options_.coarser = 12;
  EXPECT_LT(few, 20);
  EXPECT_GT(keyframes(coarser), 3 * few / 2);
}

TEST_F(StreamRunTest, SpareKeyframesFreshenLabelsForWhatThePlanLeaves) {
  options_.start.keyframe_fps = 2;
  const Trace trace = ConstantTrace(400);
  Scripted planned_controller(options_.start), spare_controller(options_.start);
  const StreamResult planned = Run("stac", trace, planned_controller);
  options_.spare = 3;
  const StreamResult spare = Run("stac", trace, spare_controller);
  EXPECT_GT(Summarize(spare, 2).pa, Summarize(planned, 2).pa);
  EXPECT_GT(Summarize(spare, 2).use_percent, 1.5 * Summarize(planned, 2).use_percent);
  EXPECT_EQ(Summarize(spare, 2).overshoot_percent, 0);
  for (size_t i = 1; i < spare.seconds.size(); ++i) {
    EXPECT_EQ(planned.seconds[i].keyframes, 2) << i;
    EXPECT_GT(spare.seconds[i].keyframes, 2) << i;
    EXPECT_LE(spare.seconds[i].keyframes, 7) << i;
  }
  // The controller hears of the two that it planned with.
  for (const ControlInput& input : spare_controller.inputs) EXPECT_EQ(input.last_keyframe_fps, 2);
}

TEST_F(StreamRunTest, EveryFrameHasLabelsAtTheTimeOfFlow) {
  for (const double kbps : {30.0, 300.0, 3000.0}) {
    const StreamSummary summary = Summarize(Run("stac", ConstantTrace(kbps)), 2);
    EXPECT_EQ(summary.missing, 0) << kbps;
    EXPECT_EQ(summary.delay_p99_ms, 4) << kbps;
    EXPECT_GT(summary.pa, 0.7) << kbps;
  }
}

TEST_F(StreamRunTest, TheFirstAnswerTakesTheWholeWay) {
  // Coded after 10 ms, sent at once (the link is fast), 20 ms there, 3 + 200 + 50 in the network,
  // 20 back: 303 ms. The first frame after that is at 400 ms.
  options_.compute = {
      .flow_ms = 4, .encode_ms = 10, .decode_ms = 3, .forward_ms = 200, .gradient_ms = 50};
  const StreamResult result = Run("stac", ConstantTrace(1e6));
  for (int frame = 0; frame < 4; ++frame) EXPECT_TRUE(result.frames[frame].missing) << frame;
  EXPECT_FALSE(result.frames[4].missing);
}

TEST_F(StreamRunTest, SystemsThatWaitGetSlowerWithTheLink) {
  options_.link.gate.max_backlog_ms = 0;
  options_.link.gate.hold_to_bandwidth = false;
  const double fast = Summarize(Run("accmpeg", ConstantTrace(5000)), 2).delay_p99_ms;
  const double slow = Summarize(Run("accmpeg", ConstantTrace(100)), 2).delay_p99_ms;
  EXPECT_GE(fast, 20);  // propagation
  EXPECT_LT(fast, 60);
  EXPECT_GT(slow, 2 * fast);
}

TEST_F(StreamRunTest, TheLastFramesAreScoredAsAllOthers) {
  options_.link.delay_ms = 400;
  const StreamResult shorter = Run("casva:rate=qp", ConstantTrace(2000));
  options_.seconds = 8;
  const StreamResult longer = Run("casva:rate=qp", ConstantTrace(2000));
  ASSERT_EQ(shorter.seconds.size(), 6u);
  EXPECT_EQ(shorter.seconds[5].pa, longer.seconds[5].pa);
}

TEST_F(StreamRunTest, AnyStartThatTheLimitsAllow) {
  for (const double base_qp : {0.0, 2.0, 46.0, 51.0}) {
    options_.seconds = 2;
    options_.start = {.base_qp = base_qp, .keyframe_fps = 2};
    options_.limits.min_base_qp = 0;
    options_.limits.max_base_qp = 51;
    EXPECT_EQ(Run("accmpeg", ConstantTrace(50'000)).frames.size(), 20u) << base_qp;
  }
}

TEST_F(StreamRunTest, ControllersHearWhatHappened) {
  Scripted controller({.base_qp = 34, .keyframe_fps = 2});
  const StreamResult result = Run("stac", ConstantTrace(400), controller);
  ASSERT_EQ(controller.inputs.size(), 5u);  // not before the first second
  EXPECT_EQ(controller.inputs[0].bandwidth_kbps, 400);
  EXPECT_EQ(controller.inputs[0].last_base_qp, 30);
  EXPECT_EQ(controller.inputs[1].last_base_qp, 34);
  EXPECT_EQ(controller.inputs[0].last_kbps, result.seconds[0].coded_kbps);
  EXPECT_GT(controller.inputs[0].c, 0);
  EXPECT_GT(controller.inputs[0].d, 0);
  EXPECT_THAT(result.seconds[3].keyframes, AllOf(Ge(1), Le(3)));
  EXPECT_LT(result.seconds[3].coded_kbps, result.seconds[0].coded_kbps);
}

TEST_F(StreamRunTest, SecondsAreHeldToTheirBandwidth) {
  options_.start = {.base_qp = 18, .keyframe_fps = 10};
  options_.link.gate.max_backlog_ms = 0;
  const Trace trace{.name = "step", .points = {{0, 2000}, {3, 40}}, .duration_s = 6};
  const StreamResult held = Run("stac", trace);
  options_.link.gate.hold_to_bandwidth = false;
  const StreamResult free = Run("stac", trace);
  EXPECT_EQ(held.seconds[2].keyframes, free.seconds[2].keyframes);
  EXPECT_LE(held.seconds[3].coded_kbps, 60);
  EXPECT_GT(free.seconds[3].coded_kbps, held.seconds[3].coded_kbps);
}

TEST_F(StreamRunTest, ContentCanBeLeftOut) {
  options_.content = ContentKind::kWithoutC;
  Scripted controller(options_.start);
  Run("stac", ConstantTrace(400), controller);
  EXPECT_EQ(controller.inputs[2].c, 1);
  EXPECT_GT(controller.inputs[2].d, 1);
  options_.content = ContentKind::kPreencoded;
  Scripted other(options_.start);
  Run("stac", ConstantTrace(400), other);
  EXPECT_GT(other.inputs[2].c, other.inputs[2].d);  // a frame alone needs more bits
  EXPECT_GT(other.inputs[2].d, 0);
}

TEST_F(StreamRunTest, TheSizeOfCodedFramesCanChange) {
  for (const char* system : {"casva:rate=qp", "accmpeg", "stac", "grace+"}) {
    Scripted controller(options_.start);
    controller.from_call[2] = {.base_qp = 30, .keyframe_fps = 5, .scale = 0.5};
    controller.from_call[4] = {.base_qp = 30, .keyframe_fps = 5, .scale = 1};
    const StreamResult result = Run(system, ConstantTrace(2000), controller);
    EXPECT_LT(result.seconds[3].coded_kbps, result.seconds[1].coded_kbps) << system;
    EXPECT_EQ(controller.inputs[2].last_scale, 0.5);
    for (size_t i = 1; i < result.seconds.size(); ++i) {
      EXPECT_GE(result.seconds[i].keyframes, 4) << system << i;
      EXPECT_GT(result.seconds[i].pa, 0.5) << system << i;
    }
    EXPECT_EQ(Summarize(result, 2).missing, 0) << system;
  }
}

TEST_F(StreamRunTest, GraceSpendsFewerBitsAtAHigherQp) {
  Scripted controller(options_.start);
  controller.from_call[3] = {.base_qp = 44, .keyframe_fps = 5};
  const StreamResult result = Run("grace+", ConstantTrace(2000), controller);
  EXPECT_LT(result.seconds[5].coded_kbps, result.seconds[1].coded_kbps / 2);
  EXPECT_EQ(Summarize(result, 2).missing, 0);
}

TEST_F(StreamRunTest, DiscardedKeyframesDoNotBreakTheStream) {
  options_.link.discard_unfinished = true;
  options_.link.gate.max_backlog_ms = 0;
  Scripted controller(options_.start);
  for (size_t call = 1; call < 8; ++call) {
    controller.from_call[call] = {.base_qp = 28.0 + static_cast<double>(call % 2),
                                  .keyframe_fps = 10};
  }
  const StreamSummary summary = Summarize(Run("stac", ConstantTrace(60), controller), 2);
  EXPECT_EQ(summary.missing, 0);
  EXPECT_GT(summary.pa, 0.6);
}

TEST_F(StreamRunTest, LabelsKeepComingWhileTheLinkIsDown) {
  options_.seconds = 24;
  const Trace outage{.name = "outage", .points = {{0, 800}, {6, 0}, {16, 800}}, .duration_s = 24};
  const StreamResult result = Run("stac", outage);
  const StreamResult undisturbed = Run("stac", ConstantTrace(800));
  for (size_t i = 20; i < result.frames.size(); ++i) {
    EXPECT_FALSE(result.frames[i].missing) << i;
    EXPECT_EQ(result.frames[i].delay_ms, 4) << i;
  }
  double lost = 0, lost_later = 0;  // mean PA while the link is down, and from 2 s after it on
  for (size_t second = 8; second < 16; ++second) {
    lost += (undisturbed.seconds[second].pa - result.seconds[second].pa) / 8;
  }
  for (size_t second = 18; second < 24; ++second) {
    lost_later += (undisturbed.seconds[second].pa - result.seconds[second].pa) / 6;
  }
  EXPECT_GT(lost, 0.05);  // so that coming back shows
  EXPECT_LT(lost_later, 0.01);
}

TEST_F(StreamRunTest, WhoWaitsGetsBetterLabelsLater) {
  const StreamSummary stac = Summarize(Run("stac", ConstantTrace(150)), 2);
  EXPECT_GT(stac.pa_waited, stac.pa_at_hand);
  EXPECT_GT(stac.waited_p99_ms, stac.delay_p99_ms);
  const StreamSummary casva = Summarize(Run("casva:rate=qp", ConstantTrace(150)), 2);
  EXPECT_EQ(casva.pa_waited, casva.pa);
  EXPECT_EQ(casva.waited_p50_ms, casva.delay_p50_ms);
}

TEST_F(StreamRunTest, TheEstimateFindsTheBandwidth) {
  options_.oracle = false;
  options_.start = {.base_qp = 20, .keyframe_fps = 10};
  const StreamResult result = Run("stac", ConstantTrace(300));
  EXPECT_EQ(result.seconds[0].told_kbps, 0);
  for (int second = 3; second < 6; ++second) {
    EXPECT_NEAR(result.seconds[second].told_kbps, 300, 60) << second;
  }
}

TEST(StreamSummaryTest, ByHand) {
  StreamResult result;
  for (int i = 0; i < 4; ++i) {
    result.frames.push_back({.time_s = i * 0.5,
                             .pa = 0.1 * i,
                             .delay_ms = 10.0 * i,
                             .pa_at_hand = 0.05 * i,
                             .pa_waited = 0.2 * i,
                             .waited_ms = 20.0 * i});
  }
  result.frames[3].missing = true;  // so it has no delay
  result.frames[3].delay_ms = NAN;
  result.seconds = {{.bandwidth_kbps = 100, .told_kbps = 100, .coded_kbps = 90},
                    {.bandwidth_kbps = 100, .told_kbps = 200, .coded_kbps = 150}};
  const StreamSummary all = Summarize(result, 0);
  EXPECT_NEAR(all.pa, 0.15, 1e-9);
  EXPECT_NEAR(all.pa_waited, 0.3, 1e-9);
  EXPECT_EQ(all.waited_p50_ms, 20);
  EXPECT_EQ(all.waited_p99_ms, 60);
  EXPECT_EQ(all.delay_p50_ms, 10);
  EXPECT_EQ(all.delay_p99_ms, 20);
  EXPECT_EQ(all.missing, 1);
  EXPECT_NEAR(all.use_percent, 80, 1e-9);
  EXPECT_NEAR(all.overshoot_percent, 50, 1e-9);
  const StreamSummary last = Summarize(result, 1);
  EXPECT_NEAR(last.pa, 0.25, 1e-9);
  EXPECT_NEAR(last.use_percent, 75, 1e-9);
  for (FrameOutcome& frame : result.frames) frame.delay_ms = NAN;
  EXPECT_TRUE(std::isnan(Summarize(result, 0).delay_p99_ms));  // which is not the best of delays
}

}  // namespace
}  // namespace stac
