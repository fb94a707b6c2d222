#pragma once

#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/conv.h>
#include <torch/types.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "stac/segment/frozen/layers_internal.h"

// Building blocks of the network definitions. For LibTorch code only.

namespace stac {

struct ConvOptions {
  int64_t in = 0;
  int64_t out = 0;
  int64_t kernel = 3;  // odd; padding keeps the size at stride 1
  int64_t stride = 1;
  int64_t dilation = 1;
  bool relu = true;  // of a ConvUnit
};

// A padded convolution, and a ReLU behind it if wanted.
class Convolution : public torch::nn::Conv2dImpl {
 public:
  Convolution(const ConvOptions& options, bool bias, bool relu = false);
  torch::Tensor forward(const torch::Tensor& x);
  // For networks that are run and differentiated at their input, but not trained: makes the way
  // back fast, in numbers of `gradient_type`. From then on the weights must stay what and where
  // they are. Must not be in training mode.
  void Freeze(torch::ScalarType gradient_type);

 private:
  ConvGeometry geometry_;
  bool relu_;
  std::optional<FrozenConvolution> frozen_;
};

// Convolution, batch normalization and (by default) ReLU. Fold() merges the normalization's
// running statistics into the convolution, which is how networks are stored and run.
class ConvUnit : public torch::nn::Module {
 public:
  explicit ConvUnit(const ConvOptions& options);
  torch::Tensor forward(const torch::Tensor& x);
  // For inference: the unit becomes a convolution with bias. Must not be in training mode.
  void Fold();
  bool folded() const { return bn_ == nullptr; }
  // The reverse: takes over a folded unit's weights. Until it is trained or calibrated, the
  // normalization changes nothing but adds the bias.
  void Unfold(const ConvUnit& folded);
  // While on, every forward pass in evaluation mode sets the normalization to the mean and variance
  // that it meets, and its scale and bias such that the output stays what it was. In training mode,
  // where a batch's own mean and variance count, the output is then the same.
  void set_calibrating(bool on) { calibrating_ = on; }

 private:
  void Calibrate(const torch::Tensor& convolved);

  ConvOptions options_;
  bool calibrating_ = false;
  std::shared_ptr<Convolution> conv_;
  std::shared_ptr<torch::nn::BatchNorm2dImpl> bn_;
};

// A 1x1 convolution with bias and nothing behind it: the classifier of a segmentation head.
class Classifier : public torch::nn::Module {
 public:
  Classifier(int64_t in, int64_t classes);
  torch::Tensor forward(const torch::Tensor& x);

 private:
  std::shared_ptr<Convolution> conv_;
};

// Two 3x3 units around a shortcut (He et al. 2016, figure 2 left): relu(f(x) + shortcut(x)). The
// shortcut is a 1x1 unit where size or width change.
class BasicBlock : public torch::nn::Module {
 public:
  // dilation1 and dilation2 are those of the first and second convolution.
  BasicBlock(int64_t in, int64_t out, int64_t stride = 1, int64_t dilation1 = 1,
             int64_t dilation2 = 1);
  torch::Tensor forward(const torch::Tensor& x);

 private:
  std::shared_ptr<ConvUnit> first_, second_, shortcut_;
};

// Bilinear resize to height x width, half-pixel centres (align_corners = false).
torch::Tensor ResizeTo(const torch::Tensor& x, int64_t height, int64_t width);
// The same to the spatial size of `like`.
torch::Tensor ResizeLike(const torch::Tensor& x, const torch::Tensor& like);

// While one lives, convolutions of this thread add their multiply-accumulates to it.
class MacCounter {
 public:
  MacCounter();
  ~MacCounter();
  MacCounter(const MacCounter&) = delete;
  MacCounter& operator=(const MacCounter&) = delete;
  // Of one image; a global (1x1) map is counted apart, because it does not grow with the image.
  int64_t spatial_macs() const { return spatial_; }
  int64_t global_macs() const { return global_; }
  static void Count(const torch::Tensor& weight, const torch::Tensor& output);

 private:
  int64_t spatial_ = 0;
  int64_t global_ = 0;
};

}  // namespace stac
