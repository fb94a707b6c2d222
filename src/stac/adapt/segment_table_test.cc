#include "stac/adapt/segment_table.h"

#include <gmock/gmock.h>

#include "stac/base/file.h"
#include "stac/base/test_folder.h"

namespace stac {
namespace {

using testing::HasSubstr;

SegmentRow Row(const std::string& clip, int segment, double qp, double accuracy, double video_kbps,
               double feedback_kbps = 0) {
  return {.system = "stac",
          .network = "net",
          .clip = clip,
          .segment = segment,
          .configuration = {qp, 5, 1},
          .accuracy = accuracy,
          .kbps = video_kbps + feedback_kbps,
          .video_kbps = video_kbps,
          .c = 2e6,
          .d = 8e6};
}

TEST(SegmentTableTest, IsReadBackAsWritten) {
  const TestFolder folder;
  const std::vector<SegmentRow> rows = {Row("a", 0, 30, 0.5, 100, 20), Row("b", 7, 24, 0.75, 500)};
  const std::string csv = ToCsv(rows);
  EXPECT_THAT(csv, HasSubstr("\nstac,net,b,7,24,5,1,0.75,500,500,2e+06,8e+06\n"));
  ASSERT_TRUE(WriteFile(folder / "t.csv", csv).has_value());
  EXPECT_EQ(ReadSegmentTable(folder / "t.csv").value(), rows);
}

TEST(SegmentTableTest, NamesCannotBreakTheFile) {
  SegmentRow row = Row("two, \"three\"\n", 0, 30, 0.5, 100);
  EXPECT_EQ(ParseSegmentTable(ToCsv({row})).value()[0].clip, "two_ _three__");
}

TEST(SegmentTableTest, ErrorsNameTheLine) {
  const std::string good = ToCsv({Row("a", 0, 30, 0.5, 100)});
  const auto error = [](const std::string& csv) {
    const auto rows = ParseSegmentTable(csv);
    return rows ? "read" : rows.error().message;
  };
  EXPECT_THAT(error(""), HasSubstr("no rows"));
  EXPECT_THAT(error("clip,segment\n"), HasSubstr("line 1: the header must be system,network"));
  EXPECT_THAT(error(good + "stac,net,a,1\n"), HasSubstr("line 3: 4 values instead of 12"));
  EXPECT_THAT(error(good + "stac,net,a,1,30,5,1,1.5,1,1,1,1\n"), HasSubstr("line 3: accuracy"));
  EXPECT_THAT(error(good + "stac,net,a,1,30,5,1,1,1,nan,1,1\n"), HasSubstr("video_kbps"));
  EXPECT_THAT(error(good + "stac,net,a,1,30,5,1.5,1,1,1,1,1\n"), HasSubstr("scale"));
  EXPECT_THAT(error(good + "stac,net,a,-1,30,5,1,1,1,1,1,1\n"), HasSubstr("segment must"));
  EXPECT_THAT(error(good + "stac,net,a,1.5,30,5,1,1,1,1,1,1\n"), HasSubstr("whole number"));
}

TEST(SegmentTableTest, FilterKeepsWhatNothingOfTheSameSecondBeats) {
  const auto rows = FilterSegments(
      {
          Row("a", 0, 20, 0.95, 900), Row("a", 0, 30, 0.90, 400),
          Row("a", 0, 28, 0.90, 500),                              // as accurate for more bits
          Row("a", 0, 40, 0.70, 100), Row("a", 0, 41, 0.60, 100),  // less accurate for as many bits
          Row("a", 1, 28, 0.10, 999),                              // alone in its second
      },
      SegmentBits::kUplink);
  ASSERT_EQ(rows.size(), 4u);
  EXPECT_EQ(rows[0].configuration.base_qp, 40);
  EXPECT_EQ(rows[1].configuration.base_qp, 30);
  EXPECT_EQ(rows[2].configuration.base_qp, 20);
  EXPECT_EQ(rows[3].segment, 1);
}

TEST(SegmentTableTest, FeedbackDecidesOnlyWhereItCounts) {
  // The finer row costs less upstream and more in total.
  const std::vector<SegmentRow> both = {Row("a", 0, 20, 0.9, 100, 50), Row("a", 0, 30, 0.8, 120)};
  EXPECT_EQ(FilterSegments(both, SegmentBits::kUplink).size(), 1u);
  EXPECT_EQ(FilterSegments(both, SegmentBits::kTotal).size(), 2u);
}

TEST(SegmentTableTest, ProfileIsTheMeanOverAllSeconds) {
  const auto profile = ProfileOfSegments(
      {
          Row("a", 0, 30, 0.1, 9000),  // with the IDR
          Row("a", 1, 30, 0.8, 100, 10), Row("a", 2, 30, 0.6, 300, 30), Row("a", 1, 40, 0.5, 50),
          Row("a", 2, 40, 0.4, 70), Row("a", 1, 20, 0.9, 900),  // second 2 is missing
      },
      SegmentBits::kTotal);
  ASSERT_EQ(profile.size(), 2u);
  EXPECT_EQ(profile[0].configuration, (ControlDecision{30, 5, 1}));
  EXPECT_DOUBLE_EQ(profile[0].accuracy, 0.7);
  EXPECT_DOUBLE_EQ(profile[0].kbps, 220);
  EXPECT_DOUBLE_EQ(profile[1].kbps, 60);
}

TEST(SegmentTableTest, ProfilesCountTheBitsAskedForAndKeepSizesApart) {
  SegmentRow full = Row("a", 1, 30, 0.8, 100, 10), half = full;
  half.configuration.scale = 0.5;
  half.accuracy = 0.7;
  const auto profile = ProfileOfSegments({full, half}, SegmentBits::kUplink);
  ASSERT_EQ(profile.size(), 2u);
  EXPECT_EQ(profile[0].configuration.scale, 0.5);
  EXPECT_DOUBLE_EQ(profile[0].kbps, full.video_kbps);
}

TEST(SegmentTableTest, EveryFrameIsOneConfigurationAtAnyRateOfFrames) {
  const auto row = [](const std::string& clip, double keyframe_fps, double accuracy) {
    SegmentRow result = Row(clip, 1, 30, accuracy, 100);
    result.configuration.keyframe_fps = keyframe_fps;
    return result;
  };
  const auto profile =
      ProfileOfSegments({row("a", 2, 0.5), row("a", 15, 0.9), row("b", 2, 0.4), row("b", 10, 0.7)},
                        SegmentBits::kTotal);
  ASSERT_EQ(profile.size(), 2u);
  EXPECT_EQ(profile[0].configuration, (ControlDecision{30, 2, 1}));
  EXPECT_EQ(profile[1].configuration, (ControlDecision{30, 15, 1}));
  EXPECT_DOUBLE_EQ(profile[1].accuracy, 0.8);
}

}  // namespace
}  // namespace stac
