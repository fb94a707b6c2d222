#include "stac/lab/segmenter_wrappers.h"

#include "stac/capture/frame_scale.h"
#include "stac/lab/upscale.h"

namespace stac {

Result<Segmentation> LabelsOnlySegmenter::RunWithGradient(const Frame& frame, const Objective&) {
  STAC_ASSIGN_OR_RETURN(Segmentation out, network_.Run(frame));
  InputGradient constant;
  constant.y = Grid<float>(frame.width(), frame.height(), 1e-6f);
  constant.cb = Grid<float>(frame.width() / 2, frame.height() / 2, 1e-6f);
  constant.cr = constant.cb;
  out.gradients.push_back(std::move(constant));
  return out;
}

std::unique_ptr<Segmenter> LabelsOnlySegmenter::Clone() const {
  return std::make_unique<LabelsOnlySegmenter>(network_);
}

Result<Segmentation> EnlargingSegmenter::Run(const Frame& frame) {
  STAC_ASSIGN_OR_RETURN(Segmentation out, network_.Run(EnlargeFrame(frame, width_, height_)));
  return Reduce(std::move(out), frame);
}

Result<Segmentation> EnlargingSegmenter::RunWithGradient(const Frame& frame,
                                                         const Objective& objective) {
  STAC_ASSIGN_OR_RETURN(Segmentation out,
                        network_.RunWithGradient(EnlargeFrame(frame, width_, height_), objective));
  return Reduce(std::move(out), frame);
}

Result<Segmentation> EnlargingSegmenter::Reduce(Segmentation segmentation, const Frame& frame) {
  full_labels_ = std::move(segmentation.labels);
  segmentation.labels = ShrinkLabels(full_labels_, {frame.width(), frame.height()});
  const PlaneScaler luma(frame.width(), frame.height(), width_, height_);
  const PlaneScaler chroma(frame.width() / 2, frame.height() / 2, width_ / 2, height_ / 2);
  for (InputGradient& gradient : segmentation.gradients) {
    gradient = {.y = luma.Adjoint(gradient.y),
                .cb = chroma.Adjoint(gradient.cb),
                .cr = chroma.Adjoint(gradient.cr)};
  }
  return segmentation;
}

std::unique_ptr<Segmenter> EnlargingSegmenter::Clone() const {
  return std::make_unique<EnlargingSegmenter>(network_, width_, height_);
}

}  // namespace stac
