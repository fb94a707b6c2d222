#pragma once

#include "stac/base/bytes.h"
#include "stac/base/result.h"
#include "stac/video/maps.h"

namespace stac {

// Lossless coding of label maps, 1x1 .. 16384x16384. `prediction`, if given, is a map of the same
// size that both sides hold (the propagated one); it is used where it agrees well enough to save
// bits. Self-describing, with a checksum. The result is the same on every machine.
//
// Adaptive arithmetic coding in mixed contexts; bench/label_coding_bench.cc compares it with
// general coders. At 1920x1080 about 8 ms, predicted 16 ms, one core, either way.
Result<Bytes> EncodeLabels(const LabelMap& labels, const LabelMap* prediction = nullptr);

// The same at a coarser grid (label_grid.h), of 1..kMaxLabelGrid pixels; `prediction` is again a
// map of pixels. `shown` is what DecodeLabels makes of the bytes. On maps of DeepLab, ESPNetv2 and
// our own network of 480x360 and 960x540, grids of 2, 3 and 4 pixels need 0.55, 0.40 and 0.31 of
// the bytes, and 0.4, 0.6 and 0.9 % of the pixels change, nearly all of them at boundaries.
struct CodedLabels {
  Bytes bytes;
  LabelMap shown;
};
inline constexpr int kMaxLabelGrid = 16;
Result<CodedLabels> EncodeLabelsAtGrid(const LabelMap& labels, int grid,
                                       const LabelMap* prediction = nullptr);

// Untrusted input. Refuses maps that are not exactly width x height, predicted ones without the
// prediction they were coded against, and damaged ones.
Result<LabelMap> DecodeLabels(ByteSpan bytes, int width, int height,
                              const LabelMap* prediction = nullptr);

// Lossless coding of level maps (levels 0..127) against the previous map of the same size
// (nullptr: none), with a checksum.
Bytes EncodeLevels(const LevelMap& levels, const LevelMap* previous);
// Untrusted input. Refuses damaged maps, levels of level_count or more, and maps that were coded
// against another previous map.
Result<LevelMap> DecodeLevels(ByteSpan bytes, int columns, int rows, int level_count,
                              const LevelMap* previous);

}  // namespace stac
