#include <torch/nn/functional/upsampling.h>
#include <torch/nn/init.h>

#include "stac/base/check.h"
#include "stac/segment/networks/layers_internal.h"

namespace stac {
namespace {

thread_local MacCounter* active_counter = nullptr;

int64_t Padding(const ConvOptions& o) { return o.dilation * (o.kernel - 1) / 2; }

torch::nn::Conv2dOptions Plain(const ConvOptions& o) {
  return torch::nn::Conv2dOptions(o.in, o.out, o.kernel)
      .stride(o.stride)
      .dilation(o.dilation)
      .padding(Padding(o));
}

}  // namespace

Convolution::Convolution(const ConvOptions& o, bool with_bias, bool with_relu)
    : Conv2dImpl(Plain(o).bias(with_bias)),
      geometry_{.stride = {o.stride, o.stride},
                .padding = {Padding(o), Padding(o)},
                .dilation = {o.dilation, o.dilation}},
      relu_(with_relu) {}

torch::Tensor Convolution::forward(const torch::Tensor& x) {
  torch::Tensor y = frozen_ ? frozen_->Run(x) : Conv2dImpl::forward(x);
  if (relu_ && !frozen_) y = y.relu_();
  MacCounter::Count(weight, y);
  return y;
}

void Convolution::Freeze(torch::ScalarType gradient_type) {
  STAC_CHECK(!is_training());
  frozen_ = {.weight = weight,
             .bias = bias,
             .gradient_kernel = InputGradientKernel(weight, geometry_, gradient_type),
             .geometry = geometry_,
             .relu = relu_};
}

ConvUnit::ConvUnit(const ConvOptions& options) : options_(options) {
  STAC_CHECK(options.kernel % 2 == 1);
  conv_ = register_module("conv", std::make_shared<Convolution>(options, /*bias=*/false));
  torch::nn::init::kaiming_normal_(conv_->weight, 0.0, torch::kFanOut, torch::kReLU);
  bn_ = register_module("bn", std::make_shared<torch::nn::BatchNorm2dImpl>(options.out));
}

torch::Tensor ConvUnit::forward(const torch::Tensor& x) {
  torch::Tensor y = conv_->forward(x);
  if (folded()) return y;
  if (calibrating_) Calibrate(y);
  y = bn_->forward(y);
  return options_.relu ? y.relu_() : y;
}

void ConvUnit::Fold() {
  if (folded()) return;
  STAC_CHECK(!is_training());
  torch::NoGradGuard no_grad;
  const torch::Tensor scale = bn_->weight / (bn_->running_var + bn_->options.eps()).sqrt();
  const torch::Tensor weight = conv_->weight * scale.reshape({-1, 1, 1, 1});
  const torch::Tensor bias = bn_->bias - bn_->running_mean * scale;
  auto merged = std::make_shared<Convolution>(options_, /*bias=*/true, options_.relu);
  merged->to(weight.device());
  merged->weight.copy_(weight);
  merged->bias.copy_(bias);
  merged->eval();
  unregister_module("bn");
  bn_ = nullptr;
  conv_ = replace_module("conv", merged);
}

void ConvUnit::Unfold(const ConvUnit& folded) {
  STAC_CHECK(folded.folded() && !this->folded());
  torch::NoGradGuard no_grad;
  conv_->weight.copy_(folded.conv_->weight);
  bn_->weight.fill_(1);
  bn_->bias.copy_(folded.conv_->bias);
  bn_->running_mean.zero_();
  bn_->running_var.fill_(1 - bn_->options.eps());
}

void ConvUnit::Calibrate(const torch::Tensor& convolved) {
  STAC_CHECK(!folded() && !is_training());
  torch::NoGradGuard no_grad;
  const auto [variance, mean] = torch::var_mean(convolved, {0, 2, 3}, /*unbiased=*/false);
  const auto deviation = [this](const torch::Tensor& var) {
    return (var + bn_->options.eps()).sqrt();
  };
  const torch::Tensor scale = bn_->weight / deviation(bn_->running_var);
  bn_->bias.add_((mean - bn_->running_mean) * scale);
  bn_->weight.copy_(scale * deviation(variance));
  bn_->running_mean.copy_(mean);
  bn_->running_var.copy_(variance);
}

Classifier::Classifier(int64_t in, int64_t classes) {
  const ConvOptions options{.in = in, .out = classes, .kernel = 1};
  conv_ = register_module("conv", std::make_shared<Convolution>(options, /*bias=*/true));
  torch::nn::init::normal_(conv_->weight, 0.0, 0.01);
  torch::nn::init::zeros_(conv_->bias);
}

torch::Tensor Classifier::forward(const torch::Tensor& x) { return conv_->forward(x); }

BasicBlock::BasicBlock(int64_t in, int64_t out, int64_t stride, int64_t dilation1,
                       int64_t dilation2) {
  first_ = register_module(
      "first", std::make_shared<ConvUnit>(ConvOptions{in, out, 3, stride, dilation1, true}));
  second_ = register_module(
      "second", std::make_shared<ConvUnit>(ConvOptions{out, out, 3, 1, dilation2, false}));
  if (in != out || stride != 1)
    shortcut_ = register_module(
        "shortcut", std::make_shared<ConvUnit>(ConvOptions{in, out, 1, stride, 1, false}));
}

torch::Tensor BasicBlock::forward(const torch::Tensor& x) {
  const torch::Tensor y = second_->forward(first_->forward(x));
  return (y + (shortcut_ ? shortcut_->forward(x) : x)).relu_();
}

torch::Tensor ResizeTo(const torch::Tensor& x, int64_t height, int64_t width) {
  if (x.size(2) == height && x.size(3) == width) return x;
  namespace F = torch::nn::functional;
  return F::interpolate(x, F::InterpolateFuncOptions()
                               .size(std::vector<int64_t>{height, width})
                               .mode(torch::kBilinear)
                               .align_corners(false));
}

torch::Tensor ResizeLike(const torch::Tensor& x, const torch::Tensor& like) {
  return ResizeTo(x, like.size(2), like.size(3));
}

MacCounter::MacCounter() {
  STAC_CHECK(active_counter == nullptr);
  active_counter = this;
}

MacCounter::~MacCounter() { active_counter = nullptr; }

void MacCounter::Count(const torch::Tensor& weight, const torch::Tensor& output) {
  if (active_counter == nullptr) return;
  const int64_t cells = output.size(2) * output.size(3);
  (cells == 1 ? active_counter->global_ : active_counter->spatial_) += weight.numel() * cells;
}

}  // namespace stac
