#include <torch/csrc/jit/ir/constants.h>
#include <torch/csrc/jit/ir/ir.h>
#include <torch/csrc/jit/passes/dead_code_elimination.h>
#include <torch/library.h>

#include <array>
#include <optional>
#include <string>

#include "stac/segment/frozen_layers_internal.h"
#include "stac/segment/torch_script_internal.h"

namespace stac {
namespace {

using torch::jit::Block;
using torch::jit::Node;
using torch::jit::Value;

// Height and width of what may be one number for both.
std::array<int64_t, 2> Pair(at::IntArrayRef numbers) { return {numbers.front(), numbers.back()}; }

// c10's in LibTorch 1.13, the standard's in later ones.
using OptionalTensor = decltype(c10::IValue().toOptional<at::Tensor>());

at::Tensor Convolution(const at::Tensor& x, const at::Tensor& weight, const OptionalTensor& bias,
                       const at::Tensor& gradient_kernel, at::IntArrayRef stride,
                       at::IntArrayRef padding, at::IntArrayRef dilation, int64_t groups) {
  const FrozenConvolution layer{.weight = weight,
                                .bias = bias.value_or(at::Tensor()),
                                .gradient_kernel = gradient_kernel,
                                .geometry = {Pair(stride), Pair(padding), Pair(dilation), groups}};
  return layer.Run(x);
}

// What graphs call in the place of ATen's operations.
TORCH_LIBRARY(stac, library) {
  library.def(
      "convolution(Tensor x, Tensor weight, Tensor? bias, Tensor gradient_kernel, int[] stride, "
      "int[] padding, int[] dilation, int groups) -> Tensor",
      &Convolution);
  library.def("prelu(Tensor x, Tensor slopes) -> Tensor", &FrozenPrelu);
}

std::optional<std::array<int64_t, 2>> ConstantPair(const Value* value) {
  const auto constant = torch::jit::toIValue(value);
  if (!constant || !constant->isIntList()) return std::nullopt;
  const auto numbers = constant->toIntVector();
  if (numbers.empty() || numbers.size() > 2) return std::nullopt;
  return Pair(numbers);
}

// The inputs of aten::conv2d and, as traced networks have it, aten::_convolution.
struct ConvInputs {
  Value *x, *weight, *bias, *stride, *padding, *dilation, *groups;
};

std::optional<ConvInputs> ConvolutionInputs(Node& node) {
  const bool general = node.kind() == at::Symbol::fromQualString("aten::_convolution");
  if (!general && node.kind() != at::aten::conv2d) return std::nullopt;
  const auto in = node.inputs();
  if (general && torch::jit::constant_as<bool>(in[6]).value_or(true)) return std::nullopt;
  return ConvInputs{in[0], in[1], in[2], in[3], in[4], in[5], in[general ? 8 : 6]};
}

// `node` gives way to stac::`name` of `inputs`.
void Replace(Node& node, const char* name, at::ArrayRef<Value*> inputs) {
  torch::jit::Graph& graph = *node.owningGraph();
  Node* replacement = graph.create(at::Symbol::fromQualString(std::string("stac::") + name), inputs,
                                   /*num_outputs=*/1);
  replacement->insertBefore(&node);
  replacement->output()->setType(at::TensorType::get());
  node.output()->replaceAllUsesWith(replacement->output());
}

// A ReLU needs no memory of its own where nothing else sees what it looks at.
void ReluInPlace(Node& node) {
  if (node.output()->uses().size() != 1) return;
  Node* user = node.output()->uses().front().user;
  if (user->kind() != at::aten::relu || user->owningBlock() != node.owningBlock()) return;
  user->replaceWithNewSymbol(at::aten::relu_);
  user->destroy();
}

struct Layout {
  bool channels_last;
  at::ScalarType gradient_type;
};

bool ReplaceConvolution(Node& node, const Layout& layout) {
  const auto in = ConvolutionInputs(node);
  if (!in) return false;
  auto weight = torch::jit::constant_as<at::Tensor>(in->weight);
  const auto stride = ConstantPair(in->stride), padding = ConstantPair(in->padding),
             dilation = ConstantPair(in->dilation);
  const auto groups = torch::jit::constant_as<int64_t>(in->groups);
  if (!weight || weight->dim() != 4 || !stride || !padding || !dilation || !groups) return false;
  ReluInPlace(node);
  const torch::jit::WithInsertPoint before(&node);
  torch::jit::Graph& graph = *node.owningGraph();
  Value* kernel = in->weight;
  if (layout.channels_last) {
    weight = weight->contiguous(at::MemoryFormat::ChannelsLast);
    kernel = graph.insertConstant(*weight);
    node.replaceInput(1, kernel);
  }
  Value* back = graph.insertConstant(
      InputGradientKernel(*weight, {*stride, *padding, *dilation, *groups}, layout.gradient_type));
  Replace(node, "convolution",
          {in->x, kernel, in->bias, back, in->stride, in->padding, in->dilation, in->groups});
  return true;
}

bool ReplacePrelu(Node& node) {
  if (node.kind() != at::aten::prelu) return false;
  if (!torch::jit::constant_as<at::Tensor>(node.input(1))) return false;
  Replace(node, "prelu", node.inputs());
  return true;
}

void ReplaceLayers(Block& block, const Layout& layout) {
  for (auto it = block.nodes().begin(); it != block.nodes().end();) {
    Node& node = **it;
    for (Block* inner : node.blocks()) ReplaceLayers(*inner, layout);
    const bool replaced = ReplaceConvolution(node, layout) || ReplacePrelu(node);
    ++it;
    if (replaced) node.destroy();
  }
}

}  // namespace

torch::jit::Module Frozen(const torch::jit::Module& network, const at::Device& device,
                          at::ScalarType gradient_type) {
  torch::jit::Module frozen = torch::jit::freeze(network);
  const auto graph = frozen.get_method("forward").graph();
  ReplaceLayers(*graph->block(), {device.is_cpu(), gradient_type});
  torch::jit::EliminateDeadCode(graph);  // kernels as they were
  return frozen;
}

}  // namespace stac
