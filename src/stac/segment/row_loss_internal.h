#pragma once

#include <cstdint>
#include <vector>

namespace stac {

// The fake-label loss of a row of pixels at a time, of logits that lie class by class.
class RowLoss {
 public:
  // Of rows of up to `width` pixels. The loss is a mean over so many pixels, each weighted by its
  // largest class (by 1 if no weights are given); the gradient is multiplied by `factor`.
  RowLoss(int64_t classes, int64_t width, std::vector<float> class_weights, double pixels,
          double factor);

  // The row's logits of class c.
  float* Values(int64_t c) { return values_.data() + c * width_; }
  int64_t step() const { return width_; }  // from class to class
  // Puts the gradient by them (softmax minus the largest class, by the pixel's share) in the place
  // of the first `count` logits of each class. Answers their loss, not yet divided by the pixels.
  double Take(int64_t count);

 private:
  const int64_t classes_, width_;
  const std::vector<float> class_weights_;
  const float share_;  // of a pixel in the gradient
  std::vector<float> values_;
  std::vector<float> best_, others_, scale_;
  std::vector<int32_t> label_;
};

}  // namespace stac
