#pragma once

#include <memory>
#include <vector>

#include "stac/segment/networks/layers_internal.h"
#include "stac/segment/networks/network_internal.h"

namespace stac {

// The role of AccMPEG's AccModel (Du et al., MLSys 2022): a network small enough for a camera that
// says which 16x16 macroblocks need high quality. Logits at 1/16, one cell for each macroblock;
// with two classes, the second one's probability is the macroblock's score. Four strided
// convolutions and two dilated residual blocks, with a global context vector.
class AccMpegNetwork : public SegmentationNetwork {
 public:
  explicit AccMpegNetwork(int classes);
  std::vector<torch::Tensor> Forward(const torch::Tensor& rgb) override;

 private:
  std::shared_ptr<ConvUnit> half_, quarter_, eighth_, sixteenth_, context_;
  std::shared_ptr<BasicBlock> near_, far_;
  std::shared_ptr<Classifier> classifier_;
};

}  // namespace stac
