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

TEST(BitReaderTest, ExpGolombCodes) {
  const Bytes bytes = {0x67, 0xA6, 0x40};  // 1 010 011 00100 0000
  BitReader unsigned_codes({bytes});
  for (const uint32_t value : {0u, 1u, 2u, 3u}) EXPECT_EQ(unsigned_codes.Ue(), value);
  EXPECT_EQ(unsigned_codes.Ue(), std::nullopt);
  BitReader signed_codes({bytes});
  for (const int32_t value : {0, 1, -1, 2}) EXPECT_EQ(signed_codes.Se(), value);
}

TEST(BitReaderTest, EmulationPreventionBytesAreNoData) {
  const Bytes bytes = {0x67, 0, 0, 3, 1, 3};
  BitReader bits({bytes});
  EXPECT_EQ(bits.Bits(32), 0x00000103u);
  EXPECT_EQ(bits.Bits(1), std::nullopt);
}

// The first entry of a scaling list is 2^31 - 1 away from what it is predicted from.
TEST(FrameNumberTest, ScalingListsOutOfBoundsAreRefused) {
  const Bytes high = {0x67, 100, 0, 30, 0xAD, 0x80, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFE};
  EXPECT_EQ(FrameNumberBits({high}), std::nullopt);
}

TEST(FrameNumberTest, HandMadeHeaders) {
  // Baseline profile (66), level 30, identifier 0, log2_max_frame_num_minus4 = 1: 1 010...
  const Bytes baseline = {0x67, 66, 0, 30, 0xA0};
  EXPECT_EQ(FrameNumberBits({baseline}), 5);
  // High profile: identifier 0, chroma format 1, bit depths 0 0, flags 0 0, then 0: 1 010 1 1 0
  // 0 1.
  const Bytes high = {0x67, 100, 0, 30, 0xAC, 0x80};
  EXPECT_EQ(FrameNumberBits({high}), 4);
  // First macroblock 0, slice type 5, parameter set 0, frame_num 9 of 5 bits: 1 00110 1 01001.
  const Bytes slice = {0x41, 0x9A, 0x90};
  EXPECT_EQ(FrameNumber({slice}, 5), 9u);
  for (size_t size = 1; size < high.size() - 1; ++size) {
    EXPECT_EQ(FrameNumberBits({ByteSpan(high).first(size)}), std::nullopt);
  }
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
    SplitAccessUnits(bytes, VideoCodec::kH265);
    if (bytes.empty()) continue;
    const auto bits = FrameNumberBits({bytes});
    EXPECT_LE(bits.value_or(0), 16);
    FrameNumber({bytes}, 16);
  }
}

}  // namespace
}  // namespace stac
