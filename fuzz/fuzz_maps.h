#pragma once

#include "stac/base/bytes.h"
#include "stac/base/grid.h"

// Inputs of the map decoders: width - 1, height - 1 (each modulo 64), whether there is a
// prediction, then the coded map. Targets and make_corpus share the maps.

namespace stac {

struct MapInput {
  int width = 0;
  int height = 0;
  bool predicted = false;
  ByteSpan coded;
};

inline std::optional<MapInput> ReadMapInput(ByteSpan bytes) {
  ByteReader reader(bytes);
  const auto width = reader.U8();
  const auto height = reader.U8();
  const auto predicted = reader.U8();
  if (!predicted) return std::nullopt;
  return MapInput{*width % 64 + 1, *height % 64 + 1, *predicted % 2 == 1, reader.Rest()};
}

inline Bytes WriteMapInput(const Grid<uint8_t>& map, bool predicted, ByteSpan coded) {
  ByteWriter writer;
  writer.U8(static_cast<uint8_t>(map.width() - 1));
  writer.U8(static_cast<uint8_t>(map.height() - 1));
  writer.U8(predicted ? 1 : 0);
  writer.Append(coded);
  return writer.Release();
}

// A map of slanted stripes; `shift` moves them.
inline Grid<uint8_t> StripedMap(int width, int height, int shift) {
  Grid<uint8_t> map(width, height);
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      map(x, y) = static_cast<uint8_t>((x + y / 2 + shift) / 9 % 7);
    }
  }
  return map;
}

}  // namespace stac
