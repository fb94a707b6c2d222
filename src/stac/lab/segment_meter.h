#pragma once

#include <vector>

#include "stac/adapt/content_metrics.h"
#include "stac/adapt/segment_table.h"
#include "stac/lab/clip.h"
#include "stac/video/accuracy.h"

namespace stac {

// Cuts what a system makes of a clip into seconds: second s has the frames i with
// s <= i / fps < s + 1. A last second that the clip ends in is left out, so rates and accuracies
// of all rows are of whole seconds.
class SegmentMeter {
 public:
  // The clip must outlive the meter.
  SegmentMeter(const Clip& clip, int class_count) : clip_(clip), scores_(class_count) {}

  // After each frame, in order: its labels, and the bytes sent so far in both directions.
  void Add(FrameId id, const LabelMap& reference, const LabelMap& shown, size_t uplink_bytes,
           size_t feedback_bytes);
  // Without names and configuration.
  const std::vector<SegmentRow>& rows() const { return rows_; }

 private:
  bool EndsSecond(FrameId id) const;

  const Clip& clip_;
  ConfusionMatrix scores_;
  ContentMeter content_;
  int frames_ = 0;
  size_t uplink_before_ = 0, feedback_before_ = 0;
  std::vector<SegmentRow> rows_;
};

}  // namespace stac
