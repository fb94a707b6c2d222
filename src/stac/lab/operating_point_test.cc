#include "stac/lab/operating_point.h"

#include <gmock/gmock.h>

#include "stac/capture/frame_scale.h"
#include "stac/lab/test_tools.h"
#include "stac/segment/fake_segmenter.h"

namespace stac {
namespace {

constexpr int kClasses = 8;

class OperatingPointTest : public ::testing::Test {
 protected:
  OperatingPointTest() {
    clip_ = LoadClip({.name = "street", .source = "any", .frames = 8}, tools_).value();
    for (const Frame& frame : clip_.frames) {
      reference_.push_back(network_.Run(frame).value().labels);
    }
    motion_ = MotionOf(clip_, tools_);
  }

  ResultRow Run(const std::string& text) {
    const SystemSpec spec = SystemSpec::Parse(text).value();
    const Size coded = CodedSize({clip_.width(), clip_.height()}, spec.scale());
    const RegionGrid grid{.frame_width = coded.width, .frame_height = coded.height};
    importance_.assign(clip_.frames.size(),
                       SensitivityMap(grid.mb_columns(), grid.mb_rows(), 1.0f));
    const Profile profile = UncalibratedProfile("fake", network_.info().hash, kClasses);
    auto row = RunPoint(spec,
                        {.clip = clip_,
                         .motion = motion_,
                         .reference = reference_,
                         .network = network_,
                         .profile = profile,
                         .importance = &importance_},
                        tools_);
    EXPECT_TRUE(row.has_value()) << text << ": " << row.error().message;
    return row.value_or(ResultRow{});
  }

  LabTools tools_ = TestTools();
  FakeSegmenter network_{kClasses};
  Clip clip_;
  ClipMotion motion_;
  std::vector<LabelMap> reference_;
  std::vector<SensitivityMap> importance_;
};

// x264's own rate control moves with the rate of the frames it gets; a planned QP does not.
TEST_F(OperatingPointTest, CasvaIsCodedAtItsQpIfAskedTo) {
  for (const char* fps : {"5", "15"}) {
    const ResultRow row = Run(std::string("casva:qp=30,rate=qp,fps=") + fps);
    EXPECT_NEAR(row.mean_qp, 30 - 3.0 / row.keyframes, 1e-6) << fps;  // the first is 3 finer
    EXPECT_GT(std::abs(Run(std::string("casva:qp=30,fps=") + fps).mean_qp - row.mean_qp), 0.1);
  }
}

TEST_F(OperatingPointTest, EverySystemRuns) {
  for (const char* system : {"jpeg:quality=80",
                             "h264:crf=24",
                             "h264:crf=24,aq=0",
                             "h264-abr:kbps=400",
                             "grace:step=8",
                             "grace+:step=8,fps=5",
                             "accmpeg:qp=26",
                             "casva:qp=26,scale=0.5,fps=5",
                             "casva:rate=qp,qp=26,scale=0.5,fps=5",
                             "boundary:qp=26",
                             "stac:qp=26",
                             "stac:paper,qp=26",
                             "stac:single,qp=26",
                             "stac:qp=26,fps=5,scale=0.75",
                             "stac:qp=26,scale=0.5,refine=1",
                             "stac:qp=26,fps=5,scale=0.5,consumer=server",
                             "accmpeg:qp=26,scale=0.75",
                             "boundary:qp=26,scale=0.5",
                             "jpeg:quality=80,scale=0.5",
                             "grace+:step=8,fps=5,scale=0.5",
                             "h264:crf=24,scale=0.25"}) {
    const ResultRow row = Run(system);
    EXPECT_EQ(row.frames, 8) << system;
    EXPECT_GT(row.pa, 0.5) << system;
    EXPECT_LE(row.pa, 1.0) << system;
    EXPECT_GT(row.video_kbps, 0) << system;
    EXPECT_DOUBLE_EQ(row.total_kbps, row.video_kbps + row.label_kbps + row.feedback_kbps);
  }
}

TEST_F(OperatingPointTest, AReducedSizeCostsLessAndKeepsFullLabels) {
  for (const char* system : {"h264:crf=24", "stac:qp=24,fps=5"}) {
    const ResultRow full = Run(system), half = Run(std::string(system) + ",scale=0.5");
    EXPECT_EQ(half.scale, 0.5);
    EXPECT_EQ(half.keyframes, full.keyframes);
    EXPECT_LT(half.video_kbps, 0.7 * full.video_kbps) << system;
    EXPECT_GT(half.pa, full.pa - 0.15) << system;
  }
}

TEST_F(OperatingPointTest, NumbersRepeatBitForBit) {
  for (const char* system : {"stac:qp=28,fps=5", "h264:crf=30"}) {
    const ResultRow a = Run(system), b = Run(system);
    EXPECT_EQ(a.pa, b.pa);
    EXPECT_EQ(a.miou, b.miou);
    EXPECT_EQ(a.total_kbps, b.total_kbps);
    EXPECT_EQ(a.mean_qp, b.mean_qp);
  }
}

TEST_F(OperatingPointTest, FinerQuantizationCostsMoreAndIsMoreAccurate) {
  for (const auto& [fine, coarse] :
       {std::pair<const char*, const char*>{"stac:qp=16", "stac:qp=40"},
        {"h264:crf=16", "h264:crf=40"},
        {"jpeg:quality=95", "jpeg:quality=20"},
        {"grace:step=4", "grace:step=60"}}) {
    const ResultRow a = Run(fine), b = Run(coarse);
    EXPECT_GT(a.video_kbps, 1.5 * b.video_kbps) << fine;
    EXPECT_GT(a.pa, b.pa) << fine;
  }
}

TEST_F(OperatingPointTest, KeyframeRateIsTheKnob) {
  EXPECT_EQ(Run("h264:crf=24").keyframes, 8);
  const ResultRow half = Run("h264:crf=24,fps=5");  // of 10
  EXPECT_EQ(half.keyframes, 4);
  EXPECT_DOUBLE_EQ(half.fps_key, 5);
}

TEST_F(OperatingPointTest, BitsGoWhereTheyBelong) {
  const ResultRow held = Run("h264:crf=24,fps=5,consumer=server");
  EXPECT_EQ(held.label_kbps, 0);  // the server has the labels
  EXPECT_EQ(held.level_kbps, 0);
  EXPECT_LT(held.feedback_kbps, 5);  // statistics only
  const ResultRow device = Run("h264:crf=24,fps=5");
  EXPECT_GT(device.feedback_kbps, held.feedback_kbps + 1);  // labels come down
  EXPECT_EQ(device.label_kbps, 0);
  EXPECT_EQ(device.video_kbps, held.video_kbps);
  const ResultRow ours = Run("stac:qp=24,fps=5,consumer=server");
  EXPECT_GT(ours.label_kbps, 0);  // propagated labels go up
  EXPECT_GT(ours.level_kbps, 0);
  EXPECT_GT(ours.feedback_kbps, ours.level_kbps);
  const ResultRow every = Run("stac:qp=24,consumer=server");
  EXPECT_EQ(every.label_kbps, 0);  // no frame is propagated
}

TEST_F(OperatingPointTest, AnUnchangedPictureIsPerfect) {
  // Nearly lossless coding of every frame: what is shown is what the network says on raw frames.
  EXPECT_GT(Run("h264:crf=1").pa, 0.97);
}

}  // namespace
}  // namespace stac
