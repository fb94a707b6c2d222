#include "stac/segment/networks/edge_network_internal.h"

namespace stac {
namespace {

constexpr int64_t kStem = 16, kQuarter = 32, kEighth = 64, kSixteenth = 128, kBottom = 160;
constexpr int64_t kDecoder = 64, kHead = 32;

}  // namespace

EdgeNetwork::EdgeNetwork(int classes) {
  const auto unit = [this](const char* name, const ConvOptions& options) {
    return register_module(name, std::make_shared<ConvUnit>(options));
  };
  const auto block = [this](const char* name, int64_t in, int64_t out, int64_t stride,
                            int64_t dilation) {
    return register_module(name, std::make_shared<BasicBlock>(in, out, stride, dilation, dilation));
  };
  stem_ = unit("stem", {3, kStem, 3, 2});
  quarter_ = unit("quarter", {kStem, kQuarter, 3, 2});
  quarter2_ = unit("quarter2", {kQuarter, kQuarter, 3, 1});
  eighth1_ = block("eighth1", kQuarter, kEighth, 2, 1);
  eighth2_ = block("eighth2", kEighth, kEighth, 1, 1);
  sixteenth1_ = block("sixteenth1", kEighth, kSixteenth, 2, 1);
  sixteenth2_ = block("sixteenth2", kSixteenth, kSixteenth, 1, 1);
  bottom1_ = block("bottom1", kSixteenth, kBottom, 2, 1);
  bottom2_ = block("bottom2", kBottom, kBottom, 1, 2);
  context_ = unit("context", {kBottom, kDecoder, 1});
  top_ = unit("top", {kBottom, kDecoder, 1});
  lateral16_ = unit("lateral16", {kSixteenth, kDecoder, 1, 1, 1, false});
  merge16_ = unit("merge16", {kDecoder, kDecoder, 3});
  lateral8_ = unit("lateral8", {kEighth, kDecoder, 1, 1, 1, false});
  merge8_ = unit("merge8", {kDecoder, kDecoder, 3});
  narrow8_ = unit("narrow8", {kDecoder, kHead, 1, 1, 1, false});
  lateral4_ = unit("lateral4", {kQuarter, kHead, 1, 1, 1, false});
  merge4_ = unit("merge4", {kHead, kHead, 1});
  classifier_ = register_module("classifier", std::make_shared<Classifier>(kHead, classes));
}

std::vector<torch::Tensor> EdgeNetwork::Forward(const torch::Tensor& rgb) {
  const torch::Tensor at4 = quarter2_->forward(quarter_->forward(stem_->forward(Normalized(rgb))));
  const torch::Tensor at8 = eighth2_->forward(eighth1_->forward(at4));
  const torch::Tensor at16 = sixteenth2_->forward(sixteenth1_->forward(at8));
  const torch::Tensor at32 = bottom2_->forward(bottom1_->forward(at16));
  const torch::Tensor scene = context_->forward(at32.mean({2, 3}, true));
  torch::Tensor y = top_->forward(at32) + scene;
  y = merge16_->forward((ResizeLike(y, at16) + lateral16_->forward(at16)).relu_());
  y = merge8_->forward((ResizeLike(y, at8) + lateral8_->forward(at8)).relu_());
  y = ResizeLike(narrow8_->forward(y), at4) + lateral4_->forward(at4);
  return {classifier_->forward(merge4_->forward(y.relu_()))};
}

}  // namespace stac
