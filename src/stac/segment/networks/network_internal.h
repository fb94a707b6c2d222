#pragma once

#include <torch/nn/module.h>
#include <torch/types.h>

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "stac/base/result.h"

// The network definitions as LibTorch modules. For LibTorch code only.

namespace stac {

class SegmentationNetwork : public torch::nn::Module {
 public:
  // RGB float [N,3,H,W] in 0..1 (normalisation is inside) -> logits [N,classes,h,w] at the
  // network's own resolution. In training mode the logits of auxiliary heads follow, where the
  // definition has any. In evaluation mode it may be called from several threads at once.
  virtual std::vector<torch::Tensor> Forward(const torch::Tensor& rgb) = 0;
  // Removes what only training needs. The network must be in evaluation mode from then on.
  virtual void DropTrainingHeads() {}
  // Pictures of more contrast, the standard deviation of their grey levels (0..1), are brought down
  // to this one before anything looks at them; 0, the default: none are. A network that has seen
  // hazy or overcast streets only fails on a low sun otherwise.
  void set_contrast_limit(double limit) { contrast_limit_ = limit; }
  double contrast_limit() const { return contrast_limit_; }
  // The name that a parameter or buffer of ours has in published PyTorch checkpoints.
  virtual std::string PublishedName(const std::string& name) const { return name; }

 protected:
  // (rgb - mean) / deviation for each channel, the ImageNet values by default, laid out and in the
  // numbers that the parameters are of: rounding `rgb` itself to bfloat16 changes three times as
  // many labels. The contrast limit comes first; gradients take what it does to the picture for
  // constant.
  torch::Tensor Normalized(const torch::Tensor& rgb,
                           const std::array<double, 3>& mean = {0.485, 0.456, 0.406},
                           const std::array<double, 3>& deviation = {0.229, 0.224, 0.225}) const;

 private:
  double contrast_limit_ = 0;
};

// The definition called `name` (NetworkNames() in networks.h) with fresh random weights, in
// training mode.
Result<std::shared_ptr<SegmentationNetwork>> MakeNetwork(const std::string& name, int classes);

// Merges all batch normalizations into their convolutions. The network must be in evaluation mode.
void FoldBatchNorm(SegmentationNetwork& network);

// Makes the way back to the input of a folded network fast, with convolutions in numbers of
// `gradient_type`. Its weights must stay what and where they are from then on.
void FreezeConvolutions(SegmentationNetwork& network, torch::ScalarType gradient_type);

// The reverse of FoldBatchNorm, to train on: gives `network`, just made, the weights of a folded
// network of the same definition and class count; auxiliary heads stay as they are. Normalizations
// that were folded are lost, so new ones are set by what they meet on `rgb`, several pictures as
// training sees them (at least two), with which the output is the same in evaluation and in
// training mode.
void UnfoldBatchNorm(const SegmentationNetwork& folded, const torch::Tensor& rgb,
                     SegmentationNetwork& network);

// Lays the kernels out as fast convolutions want them (cuDNN's, and oneDNN's in training): a
// pixel's channels side by side.
void LayChannelsLast(SegmentationNetwork& network);

// For PublishedName: replaces the first occurrence of `part`, if any.
void ReplacePart(std::string& name, const std::string& part, const std::string& by);
// For PublishedName: the parts of a BasicBlock as torchvision names them.
void ReplaceBlockParts(std::string& name);

}  // namespace stac
