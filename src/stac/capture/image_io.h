#pragma once

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "stac/base/bytes.h"
#include "stac/base/grid.h"
#include "stac/base/result.h"
#include "stac/video/frame.h"
#include "stac/video/maps.h"

namespace stac {

struct Rgb {
  uint8_t r = 0, g = 0, b = 0;
  friend bool operator==(const Rgb&, const Rgb&) = default;
};
using RgbImage = Grid<Rgb>;

// PNG and JPEG by content, as coded. Limits: 16384 x 16384. `orientation`, where it is asked for:
// how viewers turn it (EXIF's number: 1 to 8; 1: not at all).
Result<RgbImage> ReadImage(const std::filesystem::path& path, int* orientation = nullptr);
// An 8-bit single-channel (or palette, whose indices are taken) PNG, as it is.
Result<LabelMap> ReadLabelPng(const std::filesystem::path& path);

Result<Bytes> EncodePng(const RgbImage& image);
// What a PNG says about itself (tEXt): keywords of 1 to 79 Latin letters, and their texts.
using PngTexts = std::vector<std::pair<std::string, std::string>>;
Result<Bytes> EncodePng(const LabelMap& labels, const PngTexts& texts = {});  // 8-bit grey
Status WritePng(const std::filesystem::path& path, const RgbImage& image);
Status WritePng(const std::filesystem::path& path, const LabelMap& labels,
                const PngTexts& texts = {});

// Conversions follow `color` exactly. Chroma is averaged over 2x2 on the way to I420 (the image is
// cropped to even size) and repeated (nearest) on the way back, as the networks' input does.
Frame FrameFromRgb(const RgbImage& image, ColorSpec color);
RgbImage RgbFromFrame(const Frame& frame);

}  // namespace stac
