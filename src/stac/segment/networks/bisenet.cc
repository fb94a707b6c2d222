#include <torch/nn/functional/pooling.h>

#include <array>

#include "stac/segment/networks/bisenet_internal.h"

namespace stac {
namespace {

// Of the Cityscapes training set, which published weights expect.
constexpr std::array<double, 3> kMean = {0.3257, 0.3690, 0.3223};
constexpr std::array<double, 3> kDeviation = {0.2112, 0.2148, 0.2115};

torch::nn::Sequential ResNetLevel(int64_t in, int64_t out, int64_t stride) {
  torch::nn::Sequential level;
  level->push_back(std::make_shared<BasicBlock>(in, out, stride));
  level->push_back(std::make_shared<BasicBlock>(out, out));
  return level;
}

std::shared_ptr<Convolution> Pointwise(int64_t in, int64_t out) {
  const ConvOptions options{.in = in, .out = out, .kernel = 1};
  return std::make_shared<Convolution>(options, /*bias=*/false);
}

torch::Tensor SceneMean(const torch::Tensor& x) { return x.mean({2, 3}, true); }

// Nearest: the context is smoothed by a convolution right behind.
torch::Tensor Enlarge(const torch::Tensor& x, const torch::Tensor& like) {
  return torch::upsample_nearest2d(x, {like.size(2), like.size(3)});
}

}  // namespace

BiSeNet::Attention::Attention(int64_t in, int64_t out) {
  conv = register_module("conv", std::make_shared<ConvUnit>(ConvOptions{in, out, 3}));
  gate = register_module("gate", std::make_shared<ConvUnit>(ConvOptions{out, out, 1, 1, 1, false}));
}

torch::Tensor BiSeNet::Attention::forward(const torch::Tensor& x) {
  const torch::Tensor y = conv->forward(x);
  return y * gate->forward(SceneMean(y)).sigmoid();
}

BiSeNet::Head::Head(int64_t in, int64_t middle, int64_t classes) {
  conv = register_module("conv", std::make_shared<ConvUnit>(ConvOptions{in, middle, 3}));
  conv_out = register_module("conv_out", std::make_shared<Classifier>(middle, classes));
}

torch::Tensor BiSeNet::Head::forward(const torch::Tensor& x) {
  return conv_out->forward(conv->forward(x));
}

BiSeNet::BiSeNet(int classes) {
  const auto unit = [this](const char* name, const ConvOptions& options) {
    return register_module(name, std::make_shared<ConvUnit>(options));
  };
  for (const ConvOptions& options : {ConvOptions{3, 64, 7, 2}, ConvOptions{64, 64, 3, 2},
                                     ConvOptions{64, 64, 3, 2}, ConvOptions{64, 128, 1}})
    spatial_->push_back(std::make_shared<ConvUnit>(options));
  register_module("spatial", spatial_);
  stem_->push_back(std::make_shared<ConvUnit>(ConvOptions{3, 64, 7, 2}));
  register_module("stem", stem_);
  levels_ = {ResNetLevel(64, 64, 1), ResNetLevel(64, 128, 2), ResNetLevel(128, 256, 2),
             ResNetLevel(256, 512, 2)};
  for (size_t i = 0; i < levels_.size(); ++i)
    register_module("layer" + std::to_string(i + 1), levels_[i]);
  refine16_ = register_module("refine16", std::make_shared<Attention>(256, 128));
  refine32_ = register_module("refine32", std::make_shared<Attention>(512, 128));
  head16_ = unit("head16", {128, 128, 3});
  head32_ = unit("head32", {128, 128, 3});
  scene_ = unit("scene", {512, 128, 1});
  fuse_ = unit("fuse", {256, 256, 1});
  squeeze_ = register_module("squeeze", Pointwise(256, 64));
  excite_ = register_module("excite", Pointwise(64, 256));
  out_ = register_module("out", std::make_shared<Head>(256, 256, classes));
  auxiliary8_ = register_module("auxiliary8", std::make_shared<Head>(128, 64, classes));
  auxiliary16_ = register_module("auxiliary16", std::make_shared<Head>(128, 64, classes));
}

torch::Tensor BiSeNet::Fuse(const torch::Tensor& spatial, const torch::Tensor& context) {
  const torch::Tensor both = fuse_->forward(torch::cat({spatial, context}, 1));
  const torch::Tensor gate = excite_->forward(squeeze_->forward(SceneMean(both)).relu_()).sigmoid();
  return both + both * gate;
}

std::vector<torch::Tensor> BiSeNet::Forward(const torch::Tensor& rgb) {
  const torch::Tensor x = Normalized(rgb, kMean, kDeviation);
  const torch::Tensor at4 =
      levels_[0]->forward(torch::max_pool2d(stem_->forward(x), {3, 3}, {2, 2}, {1, 1}));
  const torch::Tensor at8 = levels_[1]->forward(at4);
  const torch::Tensor at16 = levels_[2]->forward(at8);
  const torch::Tensor at32 = levels_[3]->forward(at16);

  const torch::Tensor scene = scene_->forward(SceneMean(at32));
  const torch::Tensor context16 = head32_->forward(Enlarge(refine32_->forward(at32) + scene, at16));
  const torch::Tensor context8 =
      head16_->forward(Enlarge(refine16_->forward(at16) + context16, at8));
  std::vector<torch::Tensor> logits = {out_->forward(Fuse(spatial_->forward(x), context8))};
  if (is_training()) {
    logits.push_back(auxiliary8_->forward(context8));
    logits.push_back(auxiliary16_->forward(context16));
  }
  return logits;
}

void BiSeNet::DropTrainingHeads() {
  if (!auxiliary8_) return;
  unregister_module("auxiliary8");
  unregister_module("auxiliary16");
  auxiliary8_ = auxiliary16_ = nullptr;
}

std::string BiSeNet::PublishedName(const std::string& name) const {
  static const std::vector<std::pair<std::string, std::string>> kPrefixes = {
      {"spatial.0.", "sp.conv1."},
      {"spatial.1.", "sp.conv2."},
      {"spatial.2.", "sp.conv3."},
      {"spatial.3.", "sp.conv_out."},
      {"stem.0.conv.", "cp.resnet.conv1."},
      {"stem.0.bn.", "cp.resnet.bn1."},
      {"layer", "cp.resnet.layer"},
      {"refine16.gate.conv.", "cp.arm16.conv_atten."},
      {"refine16.gate.bn.", "cp.arm16.bn_atten."},
      {"refine16.", "cp.arm16."},
      {"refine32.gate.conv.", "cp.arm32.conv_atten."},
      {"refine32.gate.bn.", "cp.arm32.bn_atten."},
      {"refine32.", "cp.arm32."},
      {"head16.", "cp.conv_head16."},
      {"head32.", "cp.conv_head32."},
      {"scene.", "cp.conv_avg."},
      {"fuse.", "ffm.convblk."},
      {"squeeze.", "ffm.conv1."},
      {"excite.", "ffm.conv2."},
      {"out.conv_out.conv.", "conv_out.conv_out."},
      {"out.", "conv_out."},
      {"auxiliary8.conv_out.conv.", "conv_out16.conv_out."},
      {"auxiliary8.", "conv_out16."},
      {"auxiliary16.conv_out.conv.", "conv_out32.conv_out."},
      {"auxiliary16.", "conv_out32."}};
  for (const auto& [ours, theirs] : kPrefixes) {
    if (!name.starts_with(ours)) continue;
    std::string rest = name.substr(ours.size());
    if (ours == "layer") ReplaceBlockParts(rest);
    return theirs + rest;
  }
  return name;
}

}  // namespace stac
