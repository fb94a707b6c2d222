#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "stac/base/bytes.h"
#include "stac/video/video_codec.h"

namespace stac {

// One NAL unit in an Annex B byte stream, borrowed: from its header on, without the start code.
// Never empty. What its header says is H.264's, but for h265_type().
struct NalUnit {
  ByteSpan bytes;
  int type() const { return bytes[0] & 31; }
  int h265_type() const { return bytes[0] >> 1 & 63; }  // H.265 table 7-1
  bool IsReference() const { return (bytes[0] & 0x60) != 0; }
  bool IsSlice() const { return type() == 1 || type() == 5; }
  // True for the slice that starts a picture: first_mb_in_slice is 0.
  bool StartsPicture() const { return IsSlice() && bytes.size() > 1 && (bytes[1] & 0x80) != 0; }
};
inline constexpr int kNalSlice = 1;
inline constexpr int kNalIdrSlice = 5;
inline constexpr int kNalSps = 7;
inline constexpr int kNalPps = 8;

// The NAL units of a byte stream, in order. Any bytes are accepted.
std::vector<NalUnit> SplitNalUnits(ByteSpan stream);

// The access units (one picture each, with its parameter sets) of a whole byte stream, in order.
std::vector<ByteSpan> SplitAccessUnits(ByteSpan stream, VideoCodec codec = VideoCodec::kH264);

// Bits of an RBSP, first the highest of each byte, without the emulation prevention bytes of a NAL
// unit. Past the end every read returns nullopt.
class BitReader {
 public:
  explicit BitReader(const NalUnit& unit, size_t header_bytes = 1)
      : bytes_(unit.bytes), at_(header_bytes) {}

  std::optional<uint32_t> Bits(int count);  // 0..32
  std::optional<uint32_t> Ue();             // Exp-Golomb code, ue(v)
  std::optional<int32_t> Se();              // se(v)

 private:
  std::optional<uint32_t> Bit();

  ByteSpan bytes_;
  size_t at_;  // after the header
  int bits_left_ = 8;
  int zeros_ = 0;
};

// How many bits frame_num has in a sequence parameter set's slices (4..16); nullopt if malformed.
std::optional<int> FrameNumberBits(const NalUnit& sps);

// A slice's frame_num: grows by one (modulo 2^bits) after each reference picture, 0 at an IDR. A
// jump means that pictures are missing.
std::optional<uint32_t> FrameNumber(const NalUnit& slice, int bits);

}  // namespace stac
