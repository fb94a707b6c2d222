#pragma once

#include <memory>

#include "stac/base/bytes.h"
#include "stac/base/result.h"
#include "stac/video/maps.h"

namespace stac {

// Lossless coding of label maps. `prediction`, if given, is a map that both sides hold (the
// propagated one): only what differs is coded when that is smaller. Self-describing; picks the
// smallest of its methods.
Result<Bytes> EncodeLabels(const LabelMap& labels, const LabelMap* prediction = nullptr);

// Untrusted input. Refuses maps that are not exactly width x height, and predicted ones without a
// prediction of that size.
Result<LabelMap> DecodeLabels(ByteSpan bytes, int width, int height,
                              const LabelMap* prediction = nullptr);

// Lossless coding of level maps against the previous map (nullptr: none).
Bytes EncodeLevels(const LevelMap& levels, const LevelMap* previous);
Result<LevelMap> DecodeLevels(ByteSpan bytes, int columns, int rows, int level_count,
                              const LevelMap* previous);

}  // namespace stac
