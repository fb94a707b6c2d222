#include <algorithm>
#include <string_view>

#include "stac/capture/image_codecs_internal.h"

namespace stac {
namespace {

constexpr uint16_t kOrientationTag = 0x0112;
constexpr uint16_t kShortType = 3;
constexpr size_t kEntryBytes = 12;
constexpr std::string_view kExif{"Exif\0\0", 6};

// Numbers of a TIFF header, which says their byte order; 0 behind the end.
class TiffReader {
 public:
  explicit TiffReader(ByteSpan bytes) : bytes_(bytes), big_endian_(At(0) == 'M') {}
  uint32_t Read(size_t at, size_t size) const {
    uint32_t value = 0;
    for (size_t i = 0; i < size; ++i)
      value = value << 8 | At(at + (big_endian_ ? i : size - 1 - i));
    return value;
  }

 private:
  uint32_t At(size_t at) const { return at < bytes_.size() ? bytes_[at] : 0; }

  ByteSpan bytes_;
  bool big_endian_;
};

int TiffOrientation(ByteSpan bytes) {
  const TiffReader tiff(bytes);
  const size_t directory = tiff.Read(4, 4);
  const uint32_t count = tiff.Read(directory, 2);
  for (uint32_t i = 0; i < count; ++i) {
    const size_t entry = directory + 2 + i * kEntryBytes;
    if (tiff.Read(entry, 2) != kOrientationTag || tiff.Read(entry + 2, 2) != kShortType) continue;
    const uint32_t orientation = tiff.Read(entry + 8, 2);
    return orientation >= 1 && orientation <= 8 ? static_cast<int>(orientation) : 1;
  }
  return 1;
}

}  // namespace

int JpegOrientation(ByteSpan bytes) {
  if (!LooksLikeJpeg(bytes)) return 1;
  // Segments: FF, a marker, the length of what follows with these two bytes.
  for (size_t at = 2; at + 4 <= bytes.size() && bytes[at] == 0xFF;) {
    const uint8_t marker = bytes[at + 1];
    const size_t length = static_cast<size_t>(bytes[at + 2]) << 8 | bytes[at + 3];
    constexpr uint8_t kApp1 = 0xE1, kStartOfScan = 0xDA;
    if (marker == kStartOfScan || length < 2 || length > bytes.size() - at - 2) return 1;
    const ByteSpan body = bytes.subspan(at + 4, length - 2);
    if (marker == kApp1 && body.size() >= kExif.size() &&
        std::equal(kExif.begin(), kExif.end(), body.begin())) {
      return TiffOrientation(body.subspan(kExif.size()));
    }
    at += 2 + length;
  }
  return 1;
}

}  // namespace stac
