#include "stac/capture/image_io.h"

#include "stac/base/file.h"
#include "stac/capture/image_codecs_internal.h"

namespace stac {
namespace {

constexpr size_t kMaxFileBytes = size_t{1} << 30;

template <typename T>
Result<T> Named(const std::filesystem::path& path, Result<T> result) {
  if (!result) return Fail("cannot read {}: {}", path.string(), result.error().message);
  return result;
}

}  // namespace

Result<RgbImage> ReadImage(const std::filesystem::path& path, int* orientation) {
  STAC_ASSIGN_OR_RETURN(const Bytes bytes, ReadFile(path, kMaxFileBytes));
  if (orientation != nullptr) *orientation = JpegOrientation(bytes);
  if (LooksLikePng(bytes)) return Named(path, DecodePng(bytes));
  if (LooksLikeJpeg(bytes)) return Named(path, DecodeJpegImage(bytes));
  return Fail("cannot read {}: it is neither a PNG nor a JPEG picture", path.string());
}

Result<LabelMap> ReadLabelPng(const std::filesystem::path& path) {
  STAC_ASSIGN_OR_RETURN(const Bytes bytes, ReadFile(path, kMaxFileBytes));
  if (!LooksLikePng(bytes)) return Fail("cannot read {}: labels must be PNG", path.string());
  return Named(path, DecodeLabelPng(bytes));
}

Status WritePng(const std::filesystem::path& path, const RgbImage& image) {
  STAC_ASSIGN_OR_RETURN(const Bytes bytes, EncodePng(image));
  return WriteFile(path, ByteSpan(bytes));
}

Status WritePng(const std::filesystem::path& path, const LabelMap& labels, const PngTexts& texts) {
  STAC_ASSIGN_OR_RETURN(const Bytes bytes, EncodePng(labels, texts));
  return WriteFile(path, ByteSpan(bytes));
}

}  // namespace stac
