#include "stac/segment/networks/accmpeg_network_internal.h"

namespace stac {
namespace {

constexpr int64_t kHalf = 16, kQuarter = 32, kEighth = 32, kSixteenth = 48;

}  // namespace

AccMpegNetwork::AccMpegNetwork(int classes) {
  const auto unit = [this](const char* name, const ConvOptions& options) {
    return register_module(name, std::make_shared<ConvUnit>(options));
  };
  half_ = unit("half", {3, kHalf, 3, 2});
  quarter_ = unit("quarter", {kHalf, kQuarter, 3, 2});
  eighth_ = unit("eighth", {kQuarter, kEighth, 3, 2});
  sixteenth_ = unit("sixteenth", {kEighth, kSixteenth, 3, 2});
  near_ = register_module("near", std::make_shared<BasicBlock>(kSixteenth, kSixteenth));
  far_ = register_module("far", std::make_shared<BasicBlock>(kSixteenth, kSixteenth, 1, 2, 4));
  context_ = unit("context", {kSixteenth, kSixteenth, 1});
  classifier_ = register_module("classifier", std::make_shared<Classifier>(kSixteenth, classes));
}

std::vector<torch::Tensor> AccMpegNetwork::Forward(const torch::Tensor& rgb) {
  const torch::Tensor at16 =
      sixteenth_->forward(eighth_->forward(quarter_->forward(half_->forward(Normalized(rgb)))));
  const torch::Tensor y = far_->forward(near_->forward(at16));
  return {classifier_->forward(y + context_->forward(y.mean({2, 3}, true)))};
}

}  // namespace stac
