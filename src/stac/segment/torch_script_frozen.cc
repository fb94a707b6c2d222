#include <ATen/ATen.h>
#include <torch/csrc/jit/ir/constants.h>
#include <torch/csrc/jit/ir/ir.h>
#include <torch/csrc/jit/passes/dead_code_elimination.h>

#include <algorithm>
#include <array>
#include <optional>
#include <vector>

#include "stac/segment/frozen/convolution_gradient_internal.h"
#include "stac/segment/torch_script_internal.h"

namespace stac {
namespace {

using torch::jit::Block;
using torch::jit::Node;
using torch::jit::Value;

// Nothing for what is not known before the network runs.
std::optional<std::array<int64_t, 2>> ConstantPair(const Value* value) {
  const auto constant = torch::jit::toIValue(value);
  if (!constant || !constant->isIntList()) return std::nullopt;
  const auto numbers = constant->toIntVector();
  if (numbers.empty() || numbers.size() > 2) return std::nullopt;
  return Pair(numbers);
}

// The inputs of a convolution by any of its names.
struct ConvInputs {
  Value *x, *weight, *bias, *stride, *padding, *dilation, *groups;
  Value* output_padding = nullptr;  // of a transposed one
};

std::optional<ConvInputs> ConvolutionInputs(Node& node) {
  const auto in = node.inputs();
  if (node.kind() == at::aten::conv2d)
    return ConvInputs{in[0], in[1], in[2], in[3], in[4], in[5], in[6]};
  if (node.kind() == at::Symbol::fromQualString("aten::conv_transpose2d"))
    return ConvInputs{in[0], in[1], in[2], in[3], in[4], in[7], in[6], in[5]};
  // As traced networks have it.
  if (node.kind() != at::Symbol::fromQualString("aten::_convolution")) return std::nullopt;
  const auto transposed = torch::jit::constant_as<bool>(in[6]);
  if (!transposed) return std::nullopt;
  return ConvInputs{in[0], in[1], in[2], in[3], in[4], in[5], in[8], *transposed ? in[7] : nullptr};
}

// Takes off the ReLU behind `node` if it is the only one to look at it.
bool TakeOffRelu(Node& node) {
  if (node.output()->uses().size() != 1) return false;
  Node* user = node.output()->uses().front().user;
  const bool relu = user->kind() == at::aten::relu || user->kind() == at::aten::relu_;
  if (!relu || user->owningBlock() != node.owningBlock()) return false;
  user->output()->replaceAllUsesWith(node.output());
  user->destroy();
  return true;
}

// Where the network will run. On a CPU channels lie side by side, as oneDNN likes them.
struct Target {
  bool on_cpu;
  at::ScalarType gradient_type;
};

// Others ATen refuses when they are run.
bool IsPossible(const at::Tensor& weight, const ConvGeometry& geometry) {
  for (int axis = 0; axis < 2; ++axis)
    if (geometry.stride[axis] < 1 || geometry.dilation[axis] < 1 || geometry.padding[axis] < 0)
      return false;
  return weight.numel() > 0 && geometry.groups > 0 && weight.size(0) % geometry.groups == 0;
}

// Of a transposed convolution, the same.
bool PadsLittle(const Value* output_padding, const std::array<int64_t, 2>& stride,
                const std::array<int64_t, 2>& dilation) {
  const auto padding = ConstantPair(output_padding);
  if (!padding) return false;
  for (int axis = 0; axis < 2; ++axis)
    if ((*padding)[axis] < 0 || (*padding)[axis] >= std::max(stride[axis], dilation[axis]))
      return false;
  return true;
}

bool ReplaceConvolution(Node& node, const Target& target) {
  const auto in = ConvolutionInputs(node);
  if (!in) return false;
  const bool transposed = in->output_padding != nullptr;
  auto weight = torch::jit::constant_as<at::Tensor>(in->weight);
  const auto stride = ConstantPair(in->stride), padding = ConstantPair(in->padding),
             dilation = ConstantPair(in->dilation);
  const auto groups = torch::jit::constant_as<int64_t>(in->groups);
  if (!weight || weight->dim() != 4 || !stride || !padding || !dilation || !groups) return false;
  if (!IsPossible(*weight, {*stride, *padding, *dilation, *groups})) return false;
  // LibTorch's own are slow on a CPU only.
  if (transposed && (!target.on_cpu || !PadsLittle(in->output_padding, *stride, *dilation)))
    return false;
  const torch::jit::WithInsertPoint before(&node);
  torch::jit::Graph& graph = *node.owningGraph();
  Value* kernel = in->weight;
  // Maps have their channels side by side on a CPU, and in 16 bits on a GPU.
  if (target.on_cpu || weight->scalar_type() == at::kHalf) {
    weight = weight->contiguous(at::MemoryFormat::ChannelsLast);
    kernel = graph.insertConstant(*weight);
    node.replaceInput(1, kernel);
  }
  // A transposed one's way back is its answer.
  const auto back_type = transposed ? weight->scalar_type() : target.gradient_type;
  Value* back = graph.insertConstant(
      InputGradientKernel(*weight, {*stride, *padding, *dilation, *groups}, back_type));
  std::vector<Value*> inputs = {in->x,      kernel,      in->bias,     back,
                                in->stride, in->padding, in->dilation, in->groups};
  inputs.push_back(transposed ? in->output_padding : graph.insertConstant(TakeOffRelu(node)));
  ReplaceBy(node, transposed ? "transposed_convolution" : "convolution", inputs);
  return true;
}

// ---- Normalizations and activations ----

bool IsConstantNone(const Value* value) {
  const auto constant = torch::jit::toIValue(value);
  return constant && constant->isNone();
}

// Undefined if it is none.
at::Tensor ConstantTensor(const Value* value) {
  const auto constant = torch::jit::toIValue(value);
  return constant && constant->isTensor() ? constant->toTensor() : at::Tensor();
}

// What batch normalization comes to when it is not trained.
struct Affine {
  at::Tensor scale, shift;
};

std::optional<Affine> ConstantNormalization(const Node& node) {
  if (node.kind() != at::aten::batch_norm) return std::nullopt;
  const at::Tensor mean = ConstantTensor(node.input(3)), variance = ConstantTensor(node.input(4));
  const auto training = torch::jit::constant_as<bool>(node.input(5));
  const auto epsilon = torch::jit::constant_as<double>(node.input(7));
  if (!mean.defined() || !variance.defined() || training.value_or(true) || !epsilon)
    return std::nullopt;
  // Either of the other two may be left out.
  const auto parameter = [&](int input, const at::Tensor& otherwise) {
    return IsConstantNone(node.input(input)) ? otherwise : ConstantTensor(node.input(input));
  };
  const at::Tensor weight = parameter(1, at::ones_like(mean)),
                   bias = parameter(2, at::zeros_like(mean));
  if (!weight.defined() || !bias.defined()) return std::nullopt;
  const at::Tensor scale = weight * (variance + *epsilon).rsqrt();
  return Affine{scale, bias - mean * scale};
}

// By what a PReLU or, with zeros, a ReLU multiplies values below zero; undefined for others.
at::Tensor ConstantSlopes(const Node& node) {
  if (node.kind() == at::aten::prelu) return ConstantTensor(node.input(1));
  if (node.kind() == at::aten::relu || node.kind() == at::aten::relu_) return at::zeros({1});
  return {};
}

// The activation to which alone `node` answers.
Node* ActivationBehind(const Node& node) {
  if (node.output()->uses().size() != 1) return nullptr;
  Node* user = node.output()->uses().front().user;
  return user->owningBlock() == node.owningBlock() && ConstantSlopes(*user).defined() ? user
                                                                                      : nullptr;
}

void ReplaceByActivation(Node& node, const Affine& affine, const at::Tensor& slopes) {
  const torch::jit::WithInsertPoint before(&node);
  torch::jit::Graph& graph = *node.owningGraph();
  const auto constant = [&](const at::Tensor& tensor) {
    return graph.insertConstant(tensor.defined() ? c10::IValue(tensor) : c10::IValue());
  };
  ReplaceBy(
      node, "activation",
      {node.input(0), constant(affine.scale), constant(affine.shift),
       constant(affine.scale.defined() && slopes.defined() ? slopes.to(affine.scale.scalar_type())
                                                           : slopes)});
}

bool ReplaceActivation(Node& node, const Target& target) {
  // LibTorch's own way back is slow on a CPU only.
  if (!target.on_cpu) return false;
  if (node.kind() == at::aten::prelu) {
    const at::Tensor slopes = ConstantSlopes(node);
    if (!slopes.defined()) return false;
    ReplaceByActivation(node, {}, slopes);
    return true;
  }
  const auto affine = ConstantNormalization(node);
  if (!affine) return false;
  Node* behind = ActivationBehind(node);
  ReplaceByActivation(node, *affine, behind != nullptr ? ConstantSlopes(*behind) : at::Tensor());
  if (behind != nullptr) {
    behind->output()->replaceAllUsesWith(behind->input(0));
    behind->destroy();
  }
  return true;
}

void ReplaceLayers(Block& block, const Target& target) {
  for (auto it = block.nodes().begin(); it != block.nodes().end();) {
    Node& node = **it;
    for (Block* inner : node.blocks()) ReplaceLayers(*inner, target);
    const bool replaced = ReplaceConvolution(node, target) || ReplaceActivation(node, target) ||
                          (target.on_cpu && ReplaceMapOperation(node));
    ++it;
    if (replaced) node.destroy();
  }
}

}  // namespace

void ReplaceLayers(torch::jit::Module& frozen, const at::Device& device,
                   at::ScalarType gradient_type) {
  DefineOperations();
  const auto graph = frozen.get_method("forward").graph();
  if (device.is_cpu()) ReplaceShuffles(graph);
  ReplaceLayers(*graph->block(), {device.is_cpu(), gradient_type});
  torch::jit::EliminateDeadCode(graph);  // kernels as they were
  if (device.is_cpu()) CopyForEachUser(graph);
}

}  // namespace stac
