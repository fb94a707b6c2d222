#pragma once

#include <torch/nn/modules/container/sequential.h>

#include <memory>
#include <vector>

#include "stac/segment/networks/layers_internal.h"
#include "stac/segment/networks/network_internal.h"

namespace stac {

// BiSeNet with a ResNet-18 context path (Yu et al.: BiSeNet: Bilateral Segmentation Network for
// Real-time Semantic Segmentation, ECCV 2018). A spatial path of three strided convolutions keeps
// detail at 1/8; the context path goes down to 1/32 and is refined by attention; both are fused at
// 1/8, where the logits come out. Two auxiliary heads see the context at 1/8 and 1/16 in training.
class BiSeNet : public SegmentationNetwork {
 public:
  explicit BiSeNet(int classes);
  std::vector<torch::Tensor> Forward(const torch::Tensor& rgb) override;
  void DropTrainingHeads() override;
  std::string PublishedName(const std::string& name) const override;

 private:
  // 3x3 unit, then every channel is scaled by sigmoid(unit(mean over the picture)).
  struct Attention : torch::nn::Module {
    Attention(int64_t in, int64_t out);
    torch::Tensor forward(const torch::Tensor& x);
    std::shared_ptr<ConvUnit> conv, gate;
  };
  struct Head : torch::nn::Module {
    Head(int64_t in, int64_t middle, int64_t classes);
    torch::Tensor forward(const torch::Tensor& x);
    std::shared_ptr<ConvUnit> conv;
    std::shared_ptr<Classifier> conv_out;
  };
  torch::Tensor Fuse(const torch::Tensor& spatial, const torch::Tensor& context);

  torch::nn::Sequential spatial_, stem_;
  std::vector<torch::nn::Sequential> levels_;
  std::shared_ptr<Attention> refine16_, refine32_;
  std::shared_ptr<ConvUnit> head16_, head32_, scene_, fuse_;
  std::shared_ptr<Convolution> squeeze_, excite_;
  std::shared_ptr<Head> out_, auxiliary8_, auxiliary16_;
};

}  // namespace stac
