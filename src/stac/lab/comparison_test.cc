#include "stac/lab/comparison.h"

#include <gmock/gmock.h>

#include <cmath>

namespace stac {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// `system` needs `factor` times the bits of a curve that all clips share.
std::vector<ResultRow> Rows(const std::string& system, const std::string& clip, double factor) {
  std::vector<ResultRow> rows;
  for (int i = 0; i < 4; ++i) {
    ResultRow row;
    row.system = system;
    row.network = "net";
    row.clip = clip;
    row.video_kbps = 100 * std::exp2(i) * factor;
    row.feedback_kbps = row.video_kbps;
    row.total_kbps = 2 * row.video_kbps;
    row.pa = 0.8 + 0.05 * i - 0.005 * i * i;
    row.miou = row.pa - 0.3;
    rows.push_back(row);
  }
  return rows;
}

std::vector<ResultRow> Joined(std::initializer_list<std::vector<ResultRow>> parts) {
  std::vector<ResultRow> all;
  for (const auto& part : parts) all.insert(all.end(), part.begin(), part.end());
  return all;
}

TEST(CompareSystems, PerClipAndOverall) {
  const auto rows = Joined(
      {Rows("h264", "a", 1), Rows("h264", "b", 1), Rows("ours", "a", 0.5), Rows("ours", "b", 0.7)});
  const auto result = CompareSystems(rows, "h264", RateKind::kTotal, {});
  ASSERT_TRUE(result.has_value()) << result.error().message;
  ASSERT_EQ(result->size(), 6u);  // two metrics, two clips and "all"
  EXPECT_NEAR((*result)[0].result.bd_rate_percent, -50, 1e-6);
  EXPECT_NEAR((*result)[1].result.bd_rate_percent, -30, 1e-6);
  EXPECT_EQ((*result)[2].clip, "all");
  EXPECT_NEAR((*result)[2].result.bd_rate_percent, -40, 1e-6);
  EXPECT_NEAR((*result)[2].result.max_saving_percent, 50, 1e-6);
  EXPECT_EQ((*result)[2].count, 2);
  EXPECT_NEAR((*result)[2].result.mean_saving_percent, 40, 1e-6);
  const CurveComparison &a = (*result)[0].result, &b = (*result)[1].result,
                        &all = (*result)[2].result;
  EXPECT_NEAR(all.mean_gain_points, (a.mean_gain_points + b.mean_gain_points) / 2, 1e-9);
  EXPECT_EQ(all.max_gain_points, std::max(a.max_gain_points, b.max_gain_points));
  EXPECT_EQ(all.low_accuracy, std::min(a.low_accuracy, b.low_accuracy));
  EXPECT_EQ(all.low_kbps, std::min(a.low_kbps, b.low_kbps));
  EXPECT_EQ(all.high_kbps, std::max(a.high_kbps, b.high_kbps));
  EXPECT_THAT(ComparisonCsv(*result), HasSubstr("ours,h264,pa,all,all,-40,40,50,"));
  EXPECT_EQ((*result)[3].metric, Metric::kMeanIou);
}

TEST(CompareSystems, CellsThatOnlyOneSystemHasAreNamedAndNotAveraged) {
  const auto rows = Joined(
      {Rows("h264", "a", 1), Rows("h264", "b", 1), Rows("ours", "a", 0.5), Rows("ours", "c", 0.5)});
  const auto result = CompareSystems(rows, "h264", RateKind::kTotal, {"ours"}).value();
  ASSERT_EQ(result.size(), 8u);
  EXPECT_EQ(result[1].clip, "b");
  EXPECT_EQ(result[1].note, "ours has no results here");
  EXPECT_EQ(result[2].clip, "c");
  EXPECT_EQ(result[2].note, "h264 has no results here");
  EXPECT_EQ(result[3].clip, "all");
  EXPECT_NEAR(result[3].result.bd_rate_percent, -50, 1e-6);
  EXPECT_EQ(result[3].note, "1 of 3 are comparable");
  EXPECT_THAT(ComparisonTable(result), HasSubstr("1 of 3 are comparable"));
}

TEST(CompareSystems, CountsTheBitsThatWereAskedFor) {
  auto ours = Rows("ours", "a", 1);
  for (ResultRow& row : ours) row.feedback_kbps = 0, row.total_kbps = row.video_kbps;
  const auto rows = Joined({Rows("h264", "a", 1), ours});
  EXPECT_NEAR(CompareSystems(rows, "h264", RateKind::kTotal, {})->front().result.bd_rate_percent,
              -50, 1e-6);
  EXPECT_NEAR(CompareSystems(rows, "h264", RateKind::kUplink, {})->front().result.bd_rate_percent,
              0, 1e-6);
  EXPECT_FALSE(ParseRateKind("bits").has_value());
  for (ResultRow& row : ours) row.label_kbps = row.video_kbps;  // what goes up is twice as much
  const auto with_labels = Joined({Rows("h264", "a", 1), ours});
  const auto rate = [&](RateKind kind) {
    return CompareSystems(with_labels, "h264", kind, {})->front().result.bd_rate_percent;
  };
  EXPECT_NEAR(rate(RateKind::kUplink), 100, 1e-6);
  EXPECT_NEAR(rate(RateKind::kVideo), 0, 1e-6);
}

// Half of h264's bits, and then no bitrate that both have: there are no gains to be averaged.
TEST(CompareSystems, GainsAreAveragedWhereThereAreSome) {
  const auto far = CompareSystems(Joined({Rows("h264", "a", 1), Rows("ours", "a", 0.01)}), "h264",
                                  RateKind::kTotal, {})
                       .value();
  EXPECT_FALSE(std::isfinite(far[1].result.mean_gain_points));
  EXPECT_FALSE(std::isfinite(far[1].result.low_kbps));
  EXPECT_THAT(ComparisonCsv(far), Not(HasSubstr("e+300")));
  const auto both = CompareSystems(Joined({Rows("h264", "a", 1), Rows("h264", "b", 1),
                                           Rows("ours", "a", 0.01), Rows("ours", "b", 0.5)}),
                                   "h264", RateKind::kTotal, {})
                        .value();
  EXPECT_EQ(both[2].result.mean_gain_points, both[1].result.mean_gain_points);
}

TEST(CompareSystems, NamesWhatThereIs) {
  const auto rows = Joined({Rows("h264", "a", 1), Rows("ours", "a", 1)});
  EXPECT_THAT(CompareSystems(rows, "h265", RateKind::kTotal, {}).error().message,
              HasSubstr("there are of h264, ours"));
  EXPECT_FALSE(CompareSystems(rows, "h264", RateKind::kTotal, {"x"}).has_value());
}

TEST(CompareSystems, WhatCannotBeComparedIsSaid) {
  auto ours = Rows("ours", "a", 1);
  for (ResultRow& row : ours) row.pa = row.pa - 0.7;
  const auto result =
      CompareSystems(Joined({Rows("h264", "a", 1), ours}), "h264", RateKind::kTotal, {});
  EXPECT_EQ(result->front().count, 0);
  EXPECT_THAT(ComparisonTable(*result), HasSubstr("no accuracy that both reach"));
  EXPECT_THAT(ComparisonCsv(*result), HasSubstr("ours,h264,pa,net,a,,,"));
}

TEST(CurvesOf, HasHumanScoresOnlyWhereThereAreSome) {
  auto rows = Rows("h264", "a", 1);
  EXPECT_EQ(CurvesOf(rows, RateKind::kTotal).size(), 2u);
  for (ResultRow& row : rows) row.pa_human = 0.6, row.miou_human = 0.5;
  const auto curves = CurvesOf(rows, RateKind::kTotal);
  ASSERT_EQ(curves.size(), 4u);
  for (const SystemCurve& curve : curves) {
    if (curve.metric == Metric::kHumanPixelAccuracy) EXPECT_EQ(curve.points[0].accuracy, 0.6);
    if (curve.metric == Metric::kHumanMeanIou) EXPECT_EQ(curve.points[0].accuracy, 0.5);
  }
}

}  // namespace
}  // namespace stac
