#include "stac/adapt/trace.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <random>

#include "stac/base/file.h"

namespace stac {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Trace Parse(std::string_view text) {
  auto trace = ParseTrace(text, "t");
  EXPECT_TRUE(trace.has_value()) << trace.error().message;
  return *trace;
}
std::string ErrorOf(std::string_view text) {
  const auto trace = ParseTrace(text, "t");
  return trace ? "read" : trace.error().message;
}

TEST(TraceReaderTest, CsvWithAndWithoutHeader) {
  const Trace trace = Parse("time_s,kbps\n10,1000\n\n12, 2000\r\n# a comment\n14,500\n");
  EXPECT_THAT(trace.points,
              ElementsAre(TracePoint{0, 1000}, TracePoint{2, 2000}, TracePoint{4, 500}));
  EXPECT_DOUBLE_EQ(trace.duration_s, 6);
  EXPECT_EQ(Parse("0,5\n1,6\n").points.size(), 2u);
}

TEST(TraceReaderTest, PensieveIsInMegabits) {
  EXPECT_THAT(Parse("0.5 1.5\n1.5\t0.25\n").points,
              ElementsAre(TracePoint{0, 1500}, TracePoint{1, 250}));
}

TEST(TraceReaderTest, MahimahiCountsOpportunities) {
  // Two packets in the first 100 ms, none in the second, one in the 50 ms that are left.
  const Trace trace = Parse("10\n10\n250\n");
  EXPECT_THAT(trace.points,
              ElementsAre(TracePoint{0, 240}, TracePoint{0.1, 0}, TracePoint{0.2, 240}));
  EXPECT_DOUBLE_EQ(trace.duration_s, 0.25);
}

TEST(TraceReaderTest, BadTracesAreErrorsWithTheLine) {
  EXPECT_THAT(ErrorOf(""), HasSubstr("line 1: there are no points"));
  EXPECT_THAT(ErrorOf("time_s,kbps\n"), HasSubstr("no points"));
  EXPECT_THAT(ErrorOf("time_s,mbps\n0,1\n"), HasSubstr("line 1: the header"));
  EXPECT_THAT(ErrorOf("time_s,kbps\n0,1\n1,-2\n"), HasSubstr("line 3: the bandwidth"));
  EXPECT_THAT(ErrorOf("0,1\n1,nan\n"), HasSubstr("line 2: the bandwidth"));
  EXPECT_THAT(ErrorOf("0,1\n1,inf\n"), HasSubstr("line 2: the bandwidth"));
  EXPECT_THAT(ErrorOf("0,1\n1,1e12\n"), HasSubstr("line 2: the bandwidth"));
  EXPECT_THAT(ErrorOf("0,1\n1,\n"), HasSubstr("line 2: the bandwidth"));
  EXPECT_THAT(ErrorOf("0,1\n-1,5\n"), HasSubstr("line 2: the time"));
  EXPECT_THAT(ErrorOf("0,1\nnan,5\n"), HasSubstr("line 2: the time"));
  EXPECT_THAT(ErrorOf("0,1\n2,5\n2,5\n"), HasSubstr("line 3: the time 2"));
  EXPECT_THAT(ErrorOf("0,1\n2,5\n1,5\n"), HasSubstr("sort the lines"));
  EXPECT_THAT(ErrorOf("0,100\n1e-20,100\n2e-20,100\n1,100\n"), HasSubstr("line 2: the time 1e-20"));
  EXPECT_THAT(ErrorOf("0,1\n2\n"), HasSubstr("line 2: expected two numbers"));
  EXPECT_THAT(ErrorOf("0,0\n1,0\n"), HasSubstr("no bandwidth"));
  EXPECT_THAT(ErrorOf("5\n3\n"), HasSubstr("line 2: 3 ms"));
  EXPECT_THAT(ErrorOf("5\nx\n"), HasSubstr("line 2: expected a time"));
  EXPECT_THAT(ErrorOf("-5\n"), HasSubstr("line 1: expected a time"));
  EXPECT_THAT(ErrorOf("0\n0\n"), HasSubstr("more than one millisecond"));
}

TEST(TraceReaderTest, GapsAreErrorsExceptInDeadZones) {
  EXPECT_THAT(ErrorOf("0,900\n1,900\n2,900\n14,900\n15,900\n"), HasSubstr("line 4: a gap of 12.0"));
  EXPECT_EQ(Parse("0,900\n1,900\n2,3\n14,900\n15,900\n").points.size(), 5u);
}

TEST(TraceReaderTest, MutatedTextNeverMakesAnInvalidTrace) {
  std::mt19937 random(5);
  const std::string seeds[] = {"time_s,kbps\n0,100\n1,200\n2,50.5\n", "10\n20\n20\n35\n150\n",
                               "0.5 1.5\n1.5 2e0\n"};
  for (int i = 0; i < 20000; ++i) {
    std::string text = seeds[random() % 3];
    for (int edits = 1 + static_cast<int>(random() % 3); edits > 0; --edits) {
      text[random() % text.size()] = static_cast<char>("0123456789.,-e \nnx\xFF"[random() % 19]);
    }
    if (const auto trace = ParseTrace(text, "t")) {
      const TraceStatistics statistics = Statistics(*trace);
      EXPECT_GE(statistics.min_kbps, 0);
      EXPECT_GT(statistics.max_kbps, 0);
      EXPECT_TRUE(std::isfinite(statistics.sd_kbps));
    }
  }
}

TEST(TraceReaderTest, AllSharedTracesAreRead) {
  const auto folder = DataFolder() / "traces";
  if (DataFolder().empty()) GTEST_SKIP() << "skipped: no STAC_DATA";
  size_t count = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    if (entry.path().extension() != ".csv") continue;
    const auto trace = ReadTrace(entry.path());
    ASSERT_TRUE(trace.has_value()) << trace.error().message;
    const TraceStatistics statistics = Statistics(*trace);
    EXPECT_GT(statistics.duration_s, 30) << entry.path();
    EXPECT_GT(statistics.mean_kbps, 50) << entry.path();
    // What is written reads back the same.
    const Trace again = Parse(ToCsv(*trace));
    EXPECT_NEAR(Statistics(again).mean_kbps, statistics.mean_kbps, 0.01);
    ++count;
  }
  EXPECT_EQ(count, 83u);
}

const Trace kSteps{"steps", {{0, 1000}, {2, 3000}, {3, 0}}, 4};

TEST(TraceTest, RateWithRepetition) {
  EXPECT_EQ(KbpsAt(kSteps, 1.999), 1000);
  EXPECT_EQ(KbpsAt(kSteps, 2), 3000);
  EXPECT_EQ(KbpsAt(kSteps, 3.5), 0);
  EXPECT_EQ(KbpsAt(kSteps, 4), 1000);
  EXPECT_EQ(KbpsAt(kSteps, 42.5), 3000);
}

TEST(TraceTest, StatisticsAreWeightedByTime) {
  const TraceStatistics s = Statistics(kSteps);
  EXPECT_DOUBLE_EQ(s.mean_kbps, 1250);                             // (2*1000 + 3000 + 0) / 4
  EXPECT_DOUBLE_EQ(s.sd_kbps, std::sqrt(11e6 / 4 - 1250 * 1250));  // (2 + 9) million / 4
  EXPECT_EQ(s.min_kbps, 0);
  EXPECT_EQ(s.max_kbps, 3000);
  EXPECT_EQ(ToString(s), "1.25 +- 1.09 Mb/s (0.00..3.00), 4 s");
}

TEST(TraceTest, ResampleKeepsWhatIsDelivered) {
  const Trace coarse = Resample(kSteps, 1.5);
  EXPECT_THAT(coarse.points,
              ElementsAre(TracePoint{0, 1000}, TracePoint{1.5, 7000.0 / 3}, TracePoint{3, 0}));
  EXPECT_NEAR(Statistics(coarse).mean_kbps, 1250, 1e-9);
  EXPECT_EQ(Resample(kSteps, 0.1).points.size(), 40u);
}

TEST(TraceTest, CutRepeatsAndScaleMultiplies) {
  const Trace cut = Cut(kSteps, 2.5, 3);
  EXPECT_THAT(cut.points,
              ElementsAre(TracePoint{0, 3000}, TracePoint{0.5, 0}, TracePoint{1.5, 1000}));
  EXPECT_EQ(cut.duration_s, 3);
  const Trace scaled = Scale(kSteps, 0.5);
  EXPECT_EQ(scaled.points[1].kbps, 1500);
  EXPECT_THAT(scaled.name, HasSubstr("scaled-0.5"));
}

TEST(TraceTest, SplitIsSeededAndNeverOneSided) {
  const auto split = TestTraces(20, 0.3, 1);
  EXPECT_EQ(std::count(split.begin(), split.end(), true), 6);
  EXPECT_EQ(TestTraces(20, 0.3, 1), split);
  EXPECT_NE(TestTraces(20, 0.3, 2), split);
  EXPECT_THAT(TestTraces(2, 0.0, 1), testing::UnorderedElementsAre(true, false));
  EXPECT_TRUE(TestTraces(0, 0.5, 1).empty());
  // Published results are of such draws.
  std::vector<int> drawn;
  for (int i = 0; i < 20; ++i) {
    if (split[i]) drawn.push_back(i);
  }
  EXPECT_THAT(drawn, testing::ElementsAre(1, 2, 7, 10, 14, 17));
}

TEST(SyntheticWifiTest, HasTheMomentsOfThePaperAndSaysWhatItIs) {
  const Trace trace = SyntheticWifiTrace(40000, 11);
  EXPECT_THAT(trace.name, HasSubstr("synthetic"));
  const TraceStatistics s = Statistics(trace);
  EXPECT_NEAR(s.mean_kbps, 5100, 150);
  EXPECT_NEAR(s.sd_kbps, 2700, 150);
  EXPECT_GT(s.min_kbps, 0);
  EXPECT_EQ(SyntheticWifiTrace(100, 3).points, SyntheticWifiTrace(100, 3).points);
  EXPECT_NE(SyntheticWifiTrace(100, 3).points, SyntheticWifiTrace(100, 4).points);
  // Neighbouring seconds are alike: lag-1 correlation 0.9.
  double products = 0;
  for (size_t i = 1; i < trace.points.size(); ++i) {
    products += (trace.points[i].kbps - s.mean_kbps) * (trace.points[i - 1].kbps - s.mean_kbps);
  }
  EXPECT_NEAR(products / static_cast<double>(trace.points.size()) / (s.sd_kbps * s.sd_kbps), 0.9,
              0.03);
}

TEST(TraceIntegralTest, MatchesAnswersByHand) {
  const TraceIntegral integral(kSteps);
  EXPECT_DOUBLE_EQ(integral.BitsUntil(1'000'000), 1e6);
  EXPECT_DOUBLE_EQ(integral.BitsUntil(2'500'000), 3.5e6);
  EXPECT_DOUBLE_EQ(integral.BitsUntil(4'000'000), 5e6);
  EXPECT_DOUBLE_EQ(integral.BitsUntil(9'000'000), 11e6);
  EXPECT_EQ(integral.Finish(0, 1000), 1000);
  EXPECT_EQ(integral.Finish(1'500'000, 2e6), 2'500'000);  // half a second at 1, half at 3 Mb/s
  EXPECT_EQ(integral.Finish(2'900'000, 3e5), 3'000'000);  // ends exactly with the bandwidth
  EXPECT_EQ(integral.Finish(2'900'000, 4e5), 4'100'000);  // waits for the dead second
  EXPECT_EQ(integral.Finish(3'500'000, 1e5), 4'100'000);  // starts in it
  EXPECT_EQ(integral.Finish(0, 5e6), 3'000'000);
  EXPECT_EQ(integral.Finish(0, 50e6 + 1000), 40'001'000);
  EXPECT_EQ(integral.Finish(77, 0), 77);
  EXPECT_EQ(TraceIntegral({"dead", {{0, 0}}, 1}).Finish(0, 1), std::nullopt);
  EXPECT_EQ(TraceIntegral({"nearly dead", {{0, 1e-30}}, 1}).Finish(0, 1), std::nullopt);
}

}  // namespace
}  // namespace stac
