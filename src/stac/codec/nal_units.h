#pragma once

#include <vector>

#include "stac/base/bytes.h"

namespace stac {

// One H.264 NAL unit in an Annex B byte stream, borrowed: from its header byte on, without the
// start code. Never empty.
struct NalUnit {
  ByteSpan bytes;
  int type() const { return bytes[0] & 31; }
  bool IsSlice() const { return type() == 1 || type() == 5; }
  // True for the slice that starts a picture: first_mb_in_slice is 0.
  bool StartsPicture() const { return IsSlice() && bytes.size() > 1 && (bytes[1] & 0x80) != 0; }
};
inline constexpr int kNalSlice = 1;
inline constexpr int kNalIdrSlice = 5;
inline constexpr int kNalSei = 6;
inline constexpr int kNalSps = 7;
inline constexpr int kNalPps = 8;

// The NAL units of a byte stream, in order. Any bytes are accepted.
std::vector<NalUnit> SplitNalUnits(ByteSpan stream);

// The access units (one picture each, with its parameter sets) of a whole byte stream, in order.
std::vector<ByteSpan> SplitAccessUnits(ByteSpan stream);

}  // namespace stac
