#pragma once

#include <atomic>
#include <vector>

#include "stac/base/result.h"
#include "stac/device/device_session.h"
#include "stac/lab/train/sample.h"
#include "stac/segment/segmenter.h"

namespace stac {

// Gives each picture the labels that AccMPEG's network learns: 1 in the `share` (0..1) of its
// macroblocks with the largest accuracy gradients for `network`, 0 in the others. Each picture is
// coded as an intra frame at kAccMpegLowQp; its truth is what the network says about the picture
// itself. Labels that were there are replaced. Shows progress. Fails if coding or the network does,
// or when `stop` is set.
Status LabelMacroblocks(Segmenter& network, double share,
                        const DeviceSession::EncoderFactory& make_encoder,
                        std::vector<TrainSample>& samples, const std::atomic<bool>* stop = nullptr);

}  // namespace stac
