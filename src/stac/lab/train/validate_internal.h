#pragma once

#include <vector>

#include "stac/base/result.h"
#include "stac/lab/train/sample.h"
#include "stac/segment/networks/network_internal.h"
#include "stac/video/accuracy.h"

namespace stac {

// Labels of the network (in evaluation mode) on each picture against its human labels, or, where
// `against_teacher`, against the teachers' most probable class at a quarter of the size. Pictures
// without the reference are passed over.
ConfusionMatrix Validate(SegmentationNetwork& network, const std::vector<TrainSample>& pictures,
                         int classes, bool against_teacher, const torch::Device& device);

}  // namespace stac
