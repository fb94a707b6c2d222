#pragma once

#include <cstdint>
#include <vector>

#include "stac/video/maps.h"

namespace stac {

// Counts of true class i predicted as class j (P_ij in section VIII-A of the paper). Accumulates
// over frames; scores are of everything added. Not thread-safe.
class ConfusionMatrix {
 public:
  explicit ConfusionMatrix(int class_count);

  // Pixels whose truth is kUnlabelled or >= class_count are ignored; predictions outside the
  // classes count as wrong. Sizes must match.
  void Add(const LabelMap& truth, const LabelMap& prediction);
  void Merge(const ConfusionMatrix& other);

  int64_t total() const;
  // Pixel accuracy, 0..1: sum P_ii / sum P_ij. 0 if nothing was added.
  double PixelAccuracy() const;
  // Mean IoU over the classes that occur in truth or prediction, 0..1.
  double MeanIou() const;
  // IoU of one class, or -1 where it occurs in neither.
  double Iou(int class_index) const;
  int class_count() const { return class_count_; }

 private:
  int class_count_;
  std::vector<int64_t> counts_;  // (class_count) x (class_count + 1): the last column is "other"
};

}  // namespace stac
