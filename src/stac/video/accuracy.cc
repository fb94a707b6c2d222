#include "stac/video/accuracy.h"

#include "stac/base/check.h"

namespace stac {

ConfusionMatrix::ConfusionMatrix(int class_count) : class_count_(class_count) {
  STAC_CHECK(class_count > 0 && class_count <= kUnlabelled);
  counts_.resize(static_cast<size_t>(class_count) * (class_count + 1));
}

void ConfusionMatrix::Add(const LabelMap& truth, const LabelMap& prediction) {
  STAC_CHECK(truth.SameSize(prediction));
  // 256 x 256 bins without a branch per pixel, folded once a frame.
  std::vector<uint32_t> bins(256 * 256);
  for (size_t i = 0; i < truth.size(); ++i) ++bins[truth[i] * 256 + prediction[i]];
  for (int i = 0; i < class_count_; ++i) {
    int64_t* row = &counts_[static_cast<size_t>(i) * (class_count_ + 1)];
    for (int j = 0; j < 256; ++j) row[std::min(j, class_count_)] += bins[i * 256 + j];
  }
}

void ConfusionMatrix::Merge(const ConfusionMatrix& other) {
  STAC_CHECK_EQ(class_count_, other.class_count_);
  for (size_t i = 0; i < counts_.size(); ++i) counts_[i] += other.counts_[i];
}

int64_t ConfusionMatrix::total() const {
  int64_t sum = 0;
  for (const int64_t count : counts_) sum += count;
  return sum;
}

double ConfusionMatrix::PixelAccuracy() const {
  int64_t right = 0;
  for (int i = 0; i < class_count_; ++i) {
    right += counts_[static_cast<size_t>(i) * (class_count_ + 1) + i];
  }
  const int64_t all = total();
  return all == 0 ? 0.0 : static_cast<double>(right) / static_cast<double>(all);
}

double ConfusionMatrix::Iou(int class_index) const {
  int64_t in_truth = 0;
  int64_t in_prediction = 0;
  for (int j = 0; j <= class_count_; ++j) {
    in_truth += counts_[static_cast<size_t>(class_index) * (class_count_ + 1) + j];
  }
  for (int i = 0; i < class_count_; ++i) {
    in_prediction += counts_[static_cast<size_t>(i) * (class_count_ + 1) + class_index];
  }
  const int64_t both = counts_[static_cast<size_t>(class_index) * (class_count_ + 1) + class_index];
  const int64_t either = in_truth + in_prediction - both;
  return either == 0 ? -1.0 : static_cast<double>(both) / static_cast<double>(either);
}

double ConfusionMatrix::MeanIou() const {
  double sum = 0;
  int present = 0;
  for (int i = 0; i < class_count_; ++i) {
    const double iou = Iou(i);
    if (iou < 0) continue;
    sum += iou;
    ++present;
  }
  return present == 0 ? 0.0 : sum / present;
}

}  // namespace stac
