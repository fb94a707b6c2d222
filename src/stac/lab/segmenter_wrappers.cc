#include "stac/lab/segmenter_wrappers.h"

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

}  // namespace stac
