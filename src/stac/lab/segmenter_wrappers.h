#pragma once

#include "stac/segment/segmenter.h"

namespace stac {

// Answers for a system that needs labels only: no backward pass is run, and the gradient it
// reports is a constant. Borrows the network.
class LabelsOnlySegmenter final : public Segmenter {
 public:
  explicit LabelsOnlySegmenter(Segmenter& network) : network_(network) {}
  const NetworkInfo& info() const override { return network_.info(); }
  Result<Segmentation> Run(const Frame& frame) override { return network_.Run(frame); }
  Result<Segmentation> RunWithGradient(const Frame& frame, const Objective& objective) override;
  std::unique_ptr<Segmenter> Clone() const override;

 private:
  Segmenter& network_;
};

}  // namespace stac
