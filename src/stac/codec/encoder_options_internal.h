#pragma once

#include <string>
#include <utility>
#include <vector>

#include "stac/codec/video_encoder.h"

namespace stac {

// What no encoder takes: sizes, rates and counts out of range.
Status CheckEncoderOptions(const EncoderOptions& options);

// Fails on a frame of another size or colour than the encoder was opened for.
Status CheckFrame(const Frame& frame, const EncoderOptions& options);

// The settings of EncoderOptions::extra; one without a value has "1".
std::vector<std::pair<std::string, std::string>> ExtraSettings(const EncoderOptions& options);

// H.264 annex E and H.265 annex E have the same codes for primaries, transfer and matrix: 1 is
// BT.709, 6 is SMPTE 170M (BT.601, 525 lines).
inline int ColorCode(const ColorSpec& color) { return color.matrix == ColorMatrix::kBt709 ? 1 : 6; }

}  // namespace stac
