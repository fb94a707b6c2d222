#include "stac/segment/networks/drn_internal.h"

namespace stac {
namespace {

// Of the Cityscapes training set, which published weights expect.
constexpr std::array<double, 3> kMean = {0.290101, 0.328081, 0.286964};
constexpr std::array<double, 3> kDeviation = {0.182954, 0.186566, 0.184475};

torch::nn::Sequential Plain(const ConvOptions& options) {
  torch::nn::Sequential level;
  level->push_back(std::make_shared<ConvUnit>(options));
  return level;
}

torch::nn::Sequential Blocks(int64_t in, int64_t out, int count, int64_t stride, int64_t dilation) {
  torch::nn::Sequential level;
  for (int i = 0; i < count; ++i)
    level->push_back(std::make_shared<BasicBlock>(i == 0 ? in : out, out, i == 0 ? stride : 1,
                                                  dilation, dilation));
  return level;
}

}  // namespace

DrnNetwork::DrnNetwork(int classes, const std::array<int, 4>& blocks) {
  levels_ = {Plain({3, 16, 7}),
             Plain({16, 16, 3}),
             Plain({16, 32, 3, 2}),
             Blocks(32, 64, blocks[0], 2, 1),
             Blocks(64, 128, blocks[1], 2, 1),
             Blocks(128, 256, blocks[2], 1, 2),
             Blocks(256, 512, blocks[3], 1, 4),
             Plain({512, 512, 3, 1, 2}),
             Plain({512, 512, 3, 1, 1})};
  for (size_t i = 0; i < levels_.size(); ++i)
    register_module("layer" + std::to_string(i), levels_[i]);
  classifier_ = register_module("classifier", std::make_shared<Classifier>(512, classes));
}

std::vector<torch::Tensor> DrnNetwork::Forward(const torch::Tensor& rgb) {
  torch::Tensor x = Normalized(rgb, kMean, kDeviation);
  for (torch::nn::Sequential& level : levels_) x = level->forward(x);
  return {classifier_->forward(x)};
}

std::string DrnNetwork::PublishedName(const std::string& name) const {
  if (name.starts_with("classifier.conv.")) return "seg." + name.substr(16);
  // "layer3.1.first.conv.weight" -> "base.3.1.conv1.weight"; plain levels count convolution,
  // normalization and ReLU: "layer7.0.bn.bias" -> "base.7.1.bias".
  const char level = name[5];
  std::string rest = name.substr(7);
  const bool plain = level < '3' || level > '6';
  if (plain) {
    ReplacePart(rest, "0.conv.", "0.");
    ReplacePart(rest, "0.bn.", "1.");
  }
  ReplaceBlockParts(rest);
  return std::string("base.") + level + "." + rest;
}

}  // namespace stac
