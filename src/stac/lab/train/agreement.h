#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include "stac/base/result.h"
#include "stac/capture/frame_source.h"
#include "stac/segment/segmenter.h"

namespace stac {

struct Agreement {
  int64_t frames = 0;
  double pixel_accuracy = 0;  // 0..1
  double mean_iou = 0;        // over the classes that occur
  std::vector<double> iou;    // of each class, 0..1; -1: in neither network's labels
  double forward_ms = 0;      // mean of `network`
};

// How well `network` agrees with `reference`, whose labels are taken as the truth, on all frames of
// `source`. Fails if the class counts differ, a frame fails, or `stop` is set on the way.
Result<Agreement> MeasureAgreement(FrameSource& source, Segmenter& reference, Segmenter& network,
                                   const std::atomic<bool>* stop = nullptr);

}  // namespace stac
