#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "stac/base/bytes.h"
#include "stac/base/result.h"

namespace stac {

// The networks that the program defines itself: "edge", "drn-d-22", "drn-d-38", "bisenet", and
// "accmpeg", which sorts macroblocks and not pixels.
const std::vector<std::string>& NetworkNames();

struct NetworkCost {
  int64_t parameters = 0;  // trained ones, without auxiliary heads
  int64_t macs = 0;        // multiply-accumulates of all convolutions, for one picture
  int output_stride = 0;   // picture width / logits width
};
// What a network costs on a picture of the given size (multiples of 32).
Result<NetworkCost> MeasureNetworkCost(const std::string& name, int classes, int width, int height);

// A weight file of that network with random weights, the same each time: for measuring its time.
Result<Bytes> UntrainedNetwork(const std::string& name, int classes);

// True if the bytes begin as our weight files (.stacnet) do.
bool IsStacnet(ByteSpan bytes);

}  // namespace stac
