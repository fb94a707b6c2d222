#pragma once

#include <torch/nn/modules/container/sequential.h>

#include <array>
#include <memory>
#include <vector>

#include "stac/segment/networks/layers_internal.h"
#include "stac/segment/networks/network_internal.h"

namespace stac {

// A dilated residual network of type D (Yu, Koltun, Funkhouser: Dilated Residual Networks, CVPR
// 2017) with basic blocks, as the paper's DRN-D-22 and DRN-D-38. Output stride 8: the last two
// levels keep the size and dilate by 2 and 4; two plain levels of dilation 2 and 1 behind them
// remove gridding. The head is a 1x1 convolution; logits are enlarged 8 times bilinearly.
class DrnNetwork : public SegmentationNetwork {
 public:
  // Basic blocks in levels 3 to 6: {2, 2, 2, 2} is DRN-D-22, {3, 4, 6, 3} is DRN-D-38.
  DrnNetwork(int classes, const std::array<int, 4>& blocks);
  std::vector<torch::Tensor> Forward(const torch::Tensor& rgb) override;
  std::string PublishedName(const std::string& name) const override;

 private:
  std::vector<torch::nn::Sequential> levels_;
  std::shared_ptr<Classifier> classifier_;
};

}  // namespace stac
