#include "stac/codec/nal_units.h"

#include <cstring>

namespace stac {
namespace {

// The position of the next 00 00 01 at or after `from`, or the end.
size_t FindStartCode(ByteSpan stream, size_t from) {
  while (from + 3 <= stream.size()) {
    const void* one = std::memchr(stream.data() + from + 2, 1, stream.size() - from - 2);
    if (one == nullptr) break;
    const size_t at = static_cast<size_t>(static_cast<const uint8_t*>(one) - stream.data());
    if (stream[at - 1] == 0 && stream[at - 2] == 0) return at - 2;
    from = at - 1;
  }
  return stream.size();
}

// Sequence parameter sets of these profiles carry the chroma format (H.264 7.3.2.1.1).
bool HasChromaFormat(uint32_t profile) {
  for (const uint32_t known : {100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135}) {
    if (profile == known) return true;
  }
  return false;
}

bool SkipScalingList(BitReader& bits, int size) {
  int last = 8;
  for (int i = 0; i < size; ++i) {
    const auto delta = bits.Se();
    if (!delta || *delta < -128 || *delta > 127) return false;
    last = (last + *delta) & 255;
    if (last == 0) break;  // the rest repeats the entry before
  }
  return true;
}

// What a NAL unit is to the picture that it belongs to.
struct Place {
  bool slice = false;
  bool first_slice = false;
  bool before = false;  // parameter sets, delimiters and SEI that precede the slices
};

Place PlaceOf(const NalUnit& unit, VideoCodec codec) {
  if (codec == VideoCodec::kH264)
    return {unit.IsSlice(), unit.StartsPicture(), unit.type() >= 6 && unit.type() <= 9};
  const int type = unit.h265_type();
  const bool slice = type < 32;
  return {slice, slice && unit.bytes.size() > 2 && (unit.bytes[2] & 0x80) != 0,
          (type >= 32 && type <= 35) || type == 39};
}

}  // namespace

std::vector<NalUnit> SplitNalUnits(ByteSpan stream) {
  std::vector<NalUnit> units;
  size_t at = FindStartCode(stream, 0);
  while (at < stream.size()) {
    const size_t begin = at + 3;
    at = FindStartCode(stream, begin);
    size_t end = at;
    // Zero bytes before a start code belong to it.
    while (end > begin && stream[end - 1] == 0) --end;
    if (end > begin) units.push_back({stream.subspan(begin, end - begin)});
  }
  return units;
}

std::vector<ByteSpan> SplitAccessUnits(ByteSpan stream, VideoCodec codec) {
  std::vector<ByteSpan> access_units;
  size_t begin = 0;
  bool has_picture = false;
  for (const NalUnit& unit : SplitNalUnits(stream)) {
    const Place place = PlaceOf(unit, codec);
    if ((place.first_slice || place.before) && has_picture) {
      size_t at = static_cast<size_t>(unit.bytes.data() - stream.data()) - 3;
      while (at > 0 && stream[at - 1] == 0) --at;
      access_units.push_back(stream.subspan(begin, at - begin));
      begin = at;
      has_picture = false;
    }
    has_picture = has_picture || place.slice;
  }
  if (has_picture) access_units.push_back(stream.subspan(begin));
  return access_units;
}

std::optional<uint32_t> BitReader::Bit() {
  if (bits_left_ == 8 && zeros_ >= 2 && at_ < bytes_.size() && bytes_[at_] == 3) {
    ++at_;
    zeros_ = 0;
  }
  if (at_ >= bytes_.size()) return std::nullopt;
  const uint32_t bit = bytes_[at_] >> --bits_left_ & 1;
  if (bits_left_ == 0) {
    zeros_ = bytes_[at_] == 0 ? zeros_ + 1 : 0;
    bits_left_ = 8;
    ++at_;
  }
  return bit;
}

std::optional<uint32_t> BitReader::Bits(int count) {
  uint32_t value = 0;
  for (int i = 0; i < count; ++i) {
    const auto bit = Bit();
    if (!bit) return std::nullopt;
    value = value << 1 | *bit;
  }
  return value;
}

std::optional<uint32_t> BitReader::Ue() {
  int zeros = 0;
  for (auto bit = Bit(); bit != 1u; bit = Bit()) {
    if (!bit || ++zeros > 31) return std::nullopt;
  }
  const auto rest = Bits(zeros);
  if (!rest) return std::nullopt;
  return (uint32_t{1} << zeros) - 1 + *rest;
}

std::optional<int32_t> BitReader::Se() {
  const auto code = Ue();
  if (!code) return std::nullopt;
  const auto half = static_cast<int32_t>(*code / 2);
  return *code % 2 != 0 ? half + 1 : -half;
}

std::optional<int> FrameNumberBits(const NalUnit& sps) {
  BitReader bits(sps);
  const auto profile = bits.Bits(8);
  bits.Bits(16);  // constraints, level
  bits.Ue();      // identifier
  if (profile && HasChromaFormat(*profile)) {
    const auto chroma_format = bits.Ue();
    if (chroma_format == 3u) bits.Bits(1);
    bits.Ue();  // bit depths
    bits.Ue();
    bits.Bits(1);
    if (bits.Bits(1) == 1u) {
      const int lists = chroma_format == 3u ? 12 : 8;
      for (int i = 0; i < lists; ++i) {
        if (bits.Bits(1) == 1u && !SkipScalingList(bits, i < 6 ? 16 : 64)) return std::nullopt;
      }
    }
  }
  const auto log2_minus4 = bits.Ue();
  if (!log2_minus4 || *log2_minus4 > 12) return std::nullopt;
  return static_cast<int>(*log2_minus4) + 4;
}

std::optional<uint32_t> FrameNumber(const NalUnit& slice, int bits) {
  BitReader reader(slice);
  reader.Ue();  // first macroblock
  reader.Ue();  // slice type
  reader.Ue();  // picture parameter set
  return reader.Bits(bits);
}

}  // namespace stac
