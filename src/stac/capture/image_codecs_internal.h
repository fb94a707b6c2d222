#pragma once

#include "stac/base/bytes.h"
#include "stac/base/result.h"
#include "stac/capture/image_io.h"

namespace stac {

inline constexpr int kMaxImageSide = 16384;

bool LooksLikePng(ByteSpan bytes);
bool LooksLikeJpeg(ByteSpan bytes);
// Errors lack the file's name: the caller adds it.
Result<RgbImage> DecodePng(ByteSpan bytes);
Result<LabelMap> DecodeLabelPng(ByteSpan bytes);
Result<RgbImage> DecodeJpegImage(ByteSpan bytes);
// How viewers turn it, by its EXIF data: 1 to 8; 1, as it is coded, also where nothing is said.
int JpegOrientation(ByteSpan bytes);

}  // namespace stac
