#include "stac/lab/segment_meter.h"

#include <cmath>

namespace stac {

// The next frame would belong to the next second.
bool SegmentMeter::EndsSecond(FrameId id) const {
  constexpr double kRounding = 1e-9;
  return (id + 1) / clip_.fps >= static_cast<double>(rows_.size() + 1) - kRounding;
}

void SegmentMeter::Add(FrameId id, const LabelMap& reference, const LabelMap& shown,
                       size_t uplink_bytes, size_t feedback_bytes) {
  scores_.Add(reference, shown);
  content_.Add(clip_.frames[id]);
  ++frames_;
  if (!EndsSecond(id)) return;
  const double kilobits_per_byte = 8e-3 * clip_.fps / frames_;
  SegmentRow row{.segment = static_cast<int>(rows_.size())};
  row.accuracy = scores_.PixelAccuracy();
  row.video_kbps = static_cast<double>(uplink_bytes - uplink_before_) * kilobits_per_byte;
  row.kbps =
      row.video_kbps + static_cast<double>(feedback_bytes - feedback_before_) * kilobits_per_byte;
  const auto content = content_.TakeAverage();
  row.c = content->c;
  row.d = content->d;
  rows_.push_back(row);
  scores_ = ConfusionMatrix(scores_.class_count());
  frames_ = 0;
  uplink_before_ = uplink_bytes;
  feedback_before_ = feedback_bytes;
}

}  // namespace stac
