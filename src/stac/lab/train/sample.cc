#include "stac/lab/train/sample.h"

#include <algorithm>

#include "stac/base/check.h"

namespace stac {
namespace {

constexpr std::string_view kMagic = "STACSMP1";
constexpr uint32_t kMaxSide = 16384;

}  // namespace

Bytes EncodeSample(const TrainSample& sample) {
  const size_t pixels = static_cast<size_t>(sample.width) * sample.height;
  STAC_CHECK_EQ(sample.rgb.size(), pixels * 3);
  ByteWriter out;
  for (const char letter : kMagic) out.U8(static_cast<uint8_t>(letter));
  out.U32(static_cast<uint32_t>(sample.width));
  out.U32(static_cast<uint32_t>(sample.height));
  out.U32(static_cast<uint32_t>(sample.teacher_classes));
  out.U32(sample.has_labels() ? 1 : 0);
  out.Append(sample.rgb);
  out.Append(sample.labels);
  out.Append(sample.teacher);
  return out.Release();
}

Result<TrainSample> DecodeSample(ByteSpan bytes) {
  ByteReader in(bytes);
  const auto magic = in.Take(kMagic.size());
  if (!magic || AsText(*magic) != kMagic) return Fail("this is not a training sample");
  const auto width = in.U32(), height = in.U32(), classes = in.U32(), labelled = in.U32();
  if (!labelled || *width == 0 || *height == 0 || *width > kMaxSide || *height > kMaxSide ||
      *width % kTeacherStride != 0 || *height % kTeacherStride != 0 || *classes > 255 ||
      *labelled > 1)
    return Fail("the training sample's header is broken");
  const size_t pixels = static_cast<size_t>(*width) * *height;
  const size_t cells = pixels / (kTeacherStride * kTeacherStride);
  if (in.left() != pixels * 3 + (*labelled ? pixels : 0) + cells * *classes)
    return Fail("the training sample is cut off or too long: {} bytes", bytes.size());
  const auto take = [&in](size_t count) {
    const ByteSpan part = *in.Take(count);
    return std::vector<uint8_t>(part.begin(), part.end());
  };
  TrainSample sample;
  sample.width = static_cast<int>(*width);
  sample.height = static_cast<int>(*height);
  sample.teacher_classes = static_cast<int>(*classes);
  sample.rgb = take(pixels * 3);
  if (*labelled) sample.labels = take(pixels);
  sample.teacher = take(cells * *classes);
  return sample;
}

}  // namespace stac
