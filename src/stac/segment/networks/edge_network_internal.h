#pragma once

#include <memory>
#include <vector>

#include "stac/segment/networks/layers_internal.h"
#include "stac/segment/networks/network_internal.h"

namespace stac {

// Our own small network for CPUs: ordinary 3x3 and 1x1 convolutions whose widths are multiples of
// 16 (the block of oneDNN's AVX-512 kernels), no depthwise layers. An encoder down to 1/32 with a
// global context vector, and a decoder that adds 1/16, 1/8 and 1/4 back in; logits at 1/4.
class EdgeNetwork : public SegmentationNetwork {
 public:
  explicit EdgeNetwork(int classes);
  std::vector<torch::Tensor> Forward(const torch::Tensor& rgb) override;

 private:
  std::shared_ptr<ConvUnit> stem_, quarter_, quarter2_, context_;
  std::shared_ptr<BasicBlock> eighth1_, eighth2_, sixteenth1_, sixteenth2_, bottom1_, bottom2_;
  std::shared_ptr<ConvUnit> top_, lateral16_, lateral8_, lateral4_, merge16_, merge8_, merge4_;
  std::shared_ptr<ConvUnit> narrow8_;
  std::shared_ptr<Classifier> classifier_;
};

}  // namespace stac
