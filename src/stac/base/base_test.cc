#include <gmock/gmock.h>
#include <sys/stat.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <future>
#include <iterator>
#include <random>

#include "stac/base/bounded_queue.h"
#include "stac/base/bytes.h"
#include "stac/base/clock.h"
#include "stac/base/file.h"
#include "stac/base/file_name.h"
#include "stac/base/grid.h"
#include "stac/base/job_thread.h"
#include "stac/base/path_variables.h"
#include "stac/base/reason.h"
#include "stac/base/result.h"
#include "stac/base/statistics.h"
#include "stac/base/test_folder.h"

namespace stac {
namespace {

Result<int> Half(int value) {
  if (value % 2 != 0) return Fail("{} is odd", value);
  return value / 2;
}

Result<int> Quarter(int value) {
  STAC_ASSIGN_OR_RETURN(const int half, Half(value));
  return Half(half);
}

TEST(ResultTest, ErrorsTravelUpWithTheirMessage) {
  EXPECT_EQ(*Quarter(12), 3);
  EXPECT_EQ(Quarter(6).error().message, "3 is odd");
}

TEST(BoundedQueueTest, DropsTheOldestAndSaysWhenItIsClosed) {
  BoundedQueue<int> queue(2);
  EXPECT_EQ(queue.PushDroppingOldest(1), 0);
  EXPECT_EQ(queue.PushDroppingOldest(2), 0);
  EXPECT_EQ(queue.PushDroppingOldest(3), 1);
  queue.Close();
  EXPECT_EQ(queue.PushDroppingOldest(4), std::nullopt);
  EXPECT_EQ(queue.Pop(), 2);
  EXPECT_EQ(queue.Pop(), 3);
  EXPECT_EQ(queue.Pop(), std::nullopt);
}

TEST(JobThreadTest, DoesOneJobAtATime) {
  std::promise<int> first;
  BoundedQueue<bool> finished(9);
  JobThread<std::future<int>, int> thread([](std::future<int> job) { return 2 * job.get(); },
                                          [&] { finished.Push(true); });
  EXPECT_EQ(thread.Poll(), std::nullopt);
  EXPECT_FALSE(thread.busy());
  thread.Start(first.get_future());
  EXPECT_EQ(thread.Poll(), std::nullopt);
  EXPECT_TRUE(thread.busy());
  first.set_value(21);
  ASSERT_TRUE(finished.Pop());
  EXPECT_TRUE(thread.busy());
  EXPECT_EQ(thread.Poll(), 42);
  EXPECT_FALSE(thread.busy());

  std::promise<int> last;
  thread.Start(last.get_future());
  last.set_value(1);
  thread.Stop();
  EXPECT_EQ(thread.Poll(), 2);
  thread.Start({});  // too late
  EXPECT_FALSE(thread.busy());
}

TEST(PathVariablesTest, AreReplacedOnce) {
  setenv("STAC_TEST_A", "/a/${STAC_TEST_B}", 1);
  setenv("STAC_TEST_B", "b", 1);
  EXPECT_EQ(*ExpandVariables("x/${STAC_TEST_A}/${STAC_TEST_B}"), "x//a/${STAC_TEST_B}/b");
  EXPECT_EQ(*ExpandVariables("$STAC_TEST_B"), "$STAC_TEST_B");
  EXPECT_THAT(ExpandVariables("${STAC_TEST_B").error().message, testing::HasSubstr("brace"));
  EXPECT_THAT(ExpandVariables("${STAC_TEST_NONE}").error().message,
              testing::HasSubstr("STAC_TEST_NONE, which is not set"));
}

TEST(GridTest, RowMajorAndClampedAtTheBorder) {
  Grid<int> grid(3, 2, {1, 2, 3, 4, 5, 6});
  EXPECT_EQ(grid(2, 1), 6);
  EXPECT_EQ(grid.Clamped(-5, 9), 4);
  EXPECT_THAT(grid.Row(1), testing::ElementsAre(4, 5, 6));
}

TEST(BytesTest, NumbersRoundTripAndEndIsRespected) {
  ByteWriter writer;
  writer.U16(0x1234);
  writer.U64(0x0102030405060708);
  writer.Varint(300);
  ByteReader reader(writer.bytes());
  EXPECT_EQ(reader.U16(), 0x1234);
  EXPECT_EQ(reader.U64(), 0x0102030405060708u);
  EXPECT_EQ(reader.Varint(), 300u);
  EXPECT_EQ(reader.U8(), std::nullopt);
  EXPECT_FALSE(reader.Take(1).has_value());
}

TEST(BytesTest, EndlessVarintIsRefused) {
  const Bytes endless(20, 0xFF);
  EXPECT_EQ(ByteReader(endless).Varint(), std::nullopt);
}

TEST(FileTest, WriteIsAtomicAndReadIsBounded) {
  const TestFolder folder;
  const auto path = folder / "deep/file";
  ASSERT_TRUE(WriteFile(path, "hello"));
  ASSERT_TRUE(WriteFile(path, "hello again"));
  EXPECT_EQ(AsText(*ReadFile(path)), "hello again");
  EXPECT_THAT(ReadFile(path, 3).error().message, testing::HasSubstr("more than the 3"));
  EXPECT_THAT(ReadFile(folder / "none").error().message, testing::HasSubstr("no such file"));
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(path.parent_path()), {}), 1);
}

TEST(FileTest, LinksStayLinksAndPipesArePipes) {
  namespace fs = std::filesystem;
  const TestFolder folder;
  ASSERT_TRUE(WriteFile(folder / "there/real", "old"));
  fs::create_symlink("there/real", folder / "link");
  fs::create_symlink("link", folder / "second");
  fs::create_symlink("new", folder / "dangling");
  ASSERT_TRUE(WriteFile(folder / "second", "behind two"));
  ASSERT_TRUE(WriteFile(folder / "dangling", "made"));
  EXPECT_TRUE(fs::is_symlink(folder / "second") && fs::is_symlink(folder / "link"));
  EXPECT_EQ(AsText(*ReadFile(folder / "there/real")), "behind two");
  EXPECT_EQ(AsText(*ReadFile(folder / "new")), "made");

  const fs::path pipe = folder / "pipe";
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  auto reader = std::async(std::launch::async, [&] {
    std::ifstream in(pipe);
    return std::string(std::istreambuf_iterator<char>(in), {});
  });
  ASSERT_TRUE(WriteFile(pipe, "through"));
  EXPECT_EQ(reader.get(), "through");
  EXPECT_TRUE(fs::is_fifo(pipe));
}

TEST(FileTest, WhatCannotBeLookedAtIsAnErrorWithItsReason) {
  const TestFolder folder;
  std::filesystem::create_symlink("loop", folder / "loop");
  EXPECT_THAT(ReadFile(folder / "loop").error().message, testing::HasSubstr("symbolic links"));
  EXPECT_THAT(ReadFile(folder / std::string(300, 'x')).error().message,
              testing::HasSubstr("too long"));
  EXPECT_FALSE(WriteFile(folder / "loop", "x"));
}

TEST(FileNameTest, WhatOthersNamedStaysInItsFolder) {
  EXPECT_EQ(FileNameOf("camera-1@10.0.0.5:7331"), "camera-1@10.0.0.5_7331");
  EXPECT_EQ(FileNameOf("../../etc/x y\n"), "_.._.._etc_x_y_");
  EXPECT_EQ(FileNameOf(".."), "_..");
}

TEST(ReasonTest, OnlyTheNumbersMayDiffer) {
  EXPECT_EQ(WithoutNumbers("full to 91.5 %"), WithoutNumbers("full to 7 %"));
  EXPECT_NE(WithoutNumbers("full to 7 %"), WithoutNumbers("no profile 7"));
}

TEST(StatisticsTest, MeansAndPercentilesOfNoValuesAreZero) {
  EXPECT_EQ(RunningMean().mean(), 0);
  EXPECT_EQ(Histogram().Percentile(50), 0);
}

TEST(StatisticsTest, PercentilesAreWithinHalfAPercent) {
  std::mt19937 random(5);
  std::lognormal_distribution<double> spread(3, 2);
  std::vector<double> values(10001);
  Histogram histogram;
  RunningMean mean;
  double sum = 0;
  for (double& value : values) {
    value = spread(random);
    histogram.Add(value);
    mean.Add(value);
    sum += value;
  }
  EXPECT_EQ(mean.count(), 10001);
  EXPECT_DOUBLE_EQ(mean.mean(), sum / 10001);
  std::sort(values.begin(), values.end());
  EXPECT_EQ(histogram.Percentile(100), values.back());
  for (const double p : {0.5, 5.0, 50.0, 95.0, 99.0}) {
    const double exact = values[static_cast<size_t>(std::ceil(p / 100 * 10001)) - 1];
    EXPECT_NEAR(histogram.Percentile(p), exact, 0.00501 * exact) << p;
  }
}

TEST(StatisticsTest, ValuesOutsideTheBinsKeepTheirPlace) {
  Histogram histogram;
  for (const double value : {0.0, 1e-6, 5.0, 1e9}) histogram.Add(value);
  EXPECT_LE(histogram.Percentile(50), 0.00101);
  EXPECT_NEAR(histogram.Percentile(75), 5, 0.025);
  EXPECT_GE(histogram.Percentile(100), 0.99e7);
}

TEST(ClockTest, VirtualTimeNeverRunsBackwards) {
  ManualClock clock;
  clock.AdvanceTo(10);
  clock.AdvanceTo(5);
  EXPECT_EQ(clock.Now(), 10);
}

}  // namespace
}  // namespace stac
