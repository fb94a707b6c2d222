#include "stac/capture/picture_times.h"

#include <gtest/gtest.h>

namespace stac {
namespace {

constexpr Micros kInterval = 40'000;
constexpr Micros kSecond = 1'000'000;

TEST(PictureTimesTest, StampsCountFromTheFirstOne) {
  PictureTimes times(kInterval);
  EXPECT_EQ(times.Next(7 * kSecond), 0);
  EXPECT_EQ(times.Next(7 * kSecond + 33'000), 33'000);
  EXPECT_EQ(times.Next(std::nullopt), 73'000);
  EXPECT_EQ(times.Next(7 * kSecond + 110'000), 110'000);
}

TEST(PictureTimesTest, WithoutStampsPicturesAreAnIntervalApart) {
  PictureTimes times(kInterval);
  EXPECT_EQ(times.Next(std::nullopt), 0);
  EXPECT_EQ(times.Next(std::nullopt), kInterval);
  // The first stamp takes up from there.
  EXPECT_EQ(times.Next(5 * kSecond), 2 * kInterval);
  EXPECT_EQ(times.Next(6 * kSecond), 2 * kInterval + kSecond);
}

TEST(PictureTimesTest, StampsOutOfThisWorldSayNothing) {
  PictureTimes times(kInterval);
  EXPECT_EQ(times.Next(INT64_MIN), 0);
  EXPECT_EQ(times.Next(-kSecond), kInterval);
  EXPECT_EQ(times.Next(INT64_MAX), 2 * kInterval);
  EXPECT_EQ(times.Next(0), kInterval + kSecond);
}

TEST(PictureTimesTest, TimesNeverStandStillOrGoBack) {
  PictureTimes times(kInterval);
  EXPECT_EQ(times.Next(kSecond), 0);
  EXPECT_EQ(times.Next(kSecond), kInterval);
  EXPECT_EQ(times.Next(0), 2 * kInterval);
  EXPECT_EQ(times.Next(2 * kSecond), kSecond);
}

TEST(PictureTimesTest, WhereStampsMayJumpItGoesOnWithoutAGap) {
  PictureTimes times(kInterval, /*may_jump=*/true);
  EXPECT_EQ(times.Next(3600 * kSecond), 0);
  EXPECT_EQ(times.Next(3610 * kSecond), 10 * kSecond);  // a long gap, but one
  EXPECT_FALSE(times.jumped());
  EXPECT_EQ(times.Next(0), 10 * kSecond + kInterval);
  EXPECT_TRUE(times.jumped());
  EXPECT_EQ(times.Next(kInterval), 10 * kSecond + 2 * kInterval);
  EXPECT_EQ(times.Next(7200 * kSecond), 10 * kSecond + 3 * kInterval);
  EXPECT_EQ(times.Next(7200 * kSecond + 50'000), 10 * kSecond + 3 * kInterval + 50'000);
}

TEST(PictureTimesTest, ElsewhereALongGapIsWhatItSays) {
  PictureTimes times(kInterval);
  EXPECT_EQ(times.Next(0), 0);
  EXPECT_EQ(times.Next(3600 * kSecond), 3600 * kSecond);
  EXPECT_FALSE(times.jumped());
}

}  // namespace
}  // namespace stac
