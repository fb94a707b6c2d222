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

std::vector<ByteSpan> SplitAccessUnits(ByteSpan stream) {
  std::vector<ByteSpan> access_units;
  size_t begin = 0;
  bool has_picture = false;
  for (const NalUnit& unit : SplitNalUnits(stream)) {
    // Parameter sets, SEI and delimiters precede the picture they belong to.
    const bool starts = unit.StartsPicture() || (unit.type() >= 6 && unit.type() <= 9);
    if (starts && has_picture) {
      size_t at = static_cast<size_t>(unit.bytes.data() - stream.data()) - 3;
      while (at > 0 && stream[at - 1] == 0) --at;
      access_units.push_back(stream.subspan(begin, at - begin));
      begin = at;
      has_picture = false;
    }
    has_picture = has_picture || unit.IsSlice();
  }
  if (has_picture) access_units.push_back(stream.subspan(begin));
  return access_units;
}

}  // namespace stac
