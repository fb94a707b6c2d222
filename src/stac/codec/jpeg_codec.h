#pragma once

#include <array>
#include <cstdint>

#include "stac/base/bytes.h"
#include "stac/base/result.h"
#include "stac/video/frame.h"

namespace stac {

// Quantization tables in raster order, entries 1..255 (baseline).
struct JpegTables {
  std::array<uint8_t, 64> luma;
  std::array<uint8_t, 64> cb;
  std::array<uint8_t, 64> cr;
};
// The tables of Annex K scaled to quality 1..100 as libjpeg does.
JpegTables StandardTables(int quality);

// One 4:2:0 baseline JPEG with optimized Huffman codes, from the I420 samples as they are (the
// colour description travels outside; JFIF's own is not applied).
Result<Bytes> EncodeJpeg(const Frame& frame, const JpegTables& tables);
Result<Frame> DecodeJpeg(ByteSpan bytes, ColorSpec color, int max_width = 8192,
                         int max_height = 8192);

}  // namespace stac
