#pragma once

#include <memory>

#include "stac/segment/segmenter.h"

namespace stac {

// A Segmenter without a network, for tests and builds without LibTorch: a pixel's label is its
// luma's band, floor(Y * class_count / 256), and the objective is
//     sum over pixels of w * sin^2(pi * class_count * Y / 256 + k)
// for pass k (kProjection; otherwise k = 0 and the mean instead of the sum), with w the class
// weight of the label. Its gradient is exact; chroma has none. Deterministic.
class FakeSegmenter final : public Segmenter {
 public:
  // class_count: 1..255.
  explicit FakeSegmenter(int class_count);

  const NetworkInfo& info() const override { return info_; }
  Result<Segmentation> Run(const Frame& frame) override;
  Result<Segmentation> RunWithGradient(const Frame& frame, const Objective& objective) override;
  std::unique_ptr<Segmenter> Clone() const override;

 private:
  NetworkInfo info_;
};

}  // namespace stac
