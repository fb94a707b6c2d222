#pragma once

#include <memory>
#include <span>
#include <string>

#include "stac/base/bytes.h"
#include "stac/base/result.h"
#include "stac/segment/networks/network_internal.h"
#include "stac/segment/torch_segmenter_internal.h"

namespace stac {

// Our weight files: the magic "STACNET1", a 32-bit length, a JSON header of that length
//   {"definition": "edge", "classes": 19, "contrast_limit": 0.27, "note": "...",
//    "tensors": [{"name": "stem.conv.weight", "type": "f16", "shape": [16, 3, 3, 3]}, ...]}
// and the tensors' values in that order, little-endian, without gaps. Without a contrast_limit
// there is none. Batch normalization is
// folded and auxiliary heads are left out, so a file is for running, not for further training.

struct Stacnet {
  std::string definition;
  int classes = 0;
  std::string note;                              // where it comes from, free text
  std::shared_ptr<SegmentationNetwork> network;  // evaluation mode, folded, parameters frozen
};

// A folded network, and how much of its weights is in an average.
struct WeightShare {
  std::shared_ptr<const SegmentationNetwork> network;
  double share = 0;
};

// half: 16-bit floats, else 32-bit. `network` (a `definition`) is not changed. With `others`, of
// the same definition and class count, an average of all is stored; what they leave of 1 is its
// share.
Result<Bytes> EncodeStacnet(const SegmentationNetwork& network, const std::string& definition,
                            int classes, const std::string& note, bool half,
                            std::span<const WeightShare> others = {});
// Fails with a sentence that does not name the file.
Result<Stacnet> DecodeStacnet(ByteSpan bytes);
// A weight file as a network that runs. Fails with a sentence on anything that is not a complete
// weight file of a known definition; sizes are checked before memory is allocated.
Result<TorchNetwork> OpenStacnet(const std::string& path, const at::Device& device,
                                 Precision precision = Precision::kFloat);

}  // namespace stac
