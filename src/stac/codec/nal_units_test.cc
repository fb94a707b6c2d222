#include "stac/codec/nal_units.h"

#include <gtest/gtest.h>

#include <random>

namespace stac {
namespace {

TEST(NalUnitsTest, SplitsAtStartCodesOfThreeAndFourBytes) {
  const Bytes stream = {0, 0, 0, 1, 0x67, 1,    2,    0, 0, 1, 0x68,
                        3, 0, 0, 0, 1,    0x65, 0x88, 0, 0, 3, 1};
  const auto units = SplitNalUnits(stream);
  ASSERT_EQ(units.size(), 3u);
  EXPECT_EQ(units[0].type(), kNalSps);
  EXPECT_EQ(units[0].bytes.size(), 3u);
  EXPECT_EQ(units[1].type(), kNalPps);
  EXPECT_EQ(units[1].bytes.size(), 2u);
  EXPECT_EQ(units[2].type(), kNalIdrSlice);
  EXPECT_EQ(units[2].bytes.size(), 6u);
  EXPECT_TRUE(units[2].StartsPicture());
}

TEST(NalUnitsTest, AnAccessUnitIsAPictureWithWhatPrecedesIt) {
  const Bytes idr = {0, 0, 0, 1, 0x67, 1,    0, 0, 0, 1,    0x68,
                     2, 0, 0, 1, 0x65, 0x88, 0, 0, 1, 0x65, 0x10};
  const Bytes p = {0, 0, 0, 1, 0x41, 0x9a, 7, 0, 0, 1, 0x41, 0x02};
  Bytes stream = idr;
  stream.insert(stream.end(), p.begin(), p.end());
  stream.insert(stream.end(), idr.begin(), idr.end());
  const auto units = SplitAccessUnits(stream);
  ASSERT_EQ(units.size(), 3u);
  EXPECT_EQ(Bytes(units[0].begin(), units[0].end()), idr);
  EXPECT_EQ(Bytes(units[1].begin(), units[1].end()), p);
  EXPECT_EQ(Bytes(units[2].begin(), units[2].end()), idr);
}

TEST(NalUnitsTest, AnyBytesAreAccepted) {
  EXPECT_TRUE(SplitNalUnits({}).empty());
  EXPECT_TRUE(SplitAccessUnits(Bytes{0, 0, 1}).empty());
  std::mt19937 random(1);
  for (int i = 0; i < 2000; ++i) {
    Bytes bytes(random() % 40);
    for (uint8_t& byte : bytes) byte = random() % 3;  // many start codes
    size_t covered = 0;
    for (const NalUnit& unit : SplitNalUnits(bytes)) covered += unit.bytes.size();
    EXPECT_LE(covered, bytes.size());
    SplitAccessUnits(bytes);
  }
}

}  // namespace
}  // namespace stac
