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

// Runs a network on frames that were coded at a smaller size: the frame is scaled up to
// width x height first, and gradients are taken back to the samples that were coded. The labels it
// reports are reduced to the coded size, as the sessions expect; the full ones are kept aside.
// Borrows the network.
class EnlargingSegmenter final : public Segmenter {
 public:
  EnlargingSegmenter(Segmenter& network, int width, int height)
      : network_(network), width_(width), height_(height) {}
  const NetworkInfo& info() const override { return network_.info(); }
  Result<Segmentation> Run(const Frame& frame) override;
  Result<Segmentation> RunWithGradient(const Frame& frame, const Objective& objective) override;
  std::unique_ptr<Segmenter> Clone() const override;
  // Labels of the last frame at width x height.
  const LabelMap& full_labels() const { return full_labels_; }

 private:
  Result<Segmentation> Reduce(Segmentation segmentation, const Frame& frame);

  Segmenter& network_;
  int width_, height_;
  LabelMap full_labels_;
};

}  // namespace stac
