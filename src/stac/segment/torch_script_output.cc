#include <torch/csrc/jit/ir/alias_analysis.h>
#include <torch/csrc/jit/ir/constants.h>
#include <torch/csrc/jit/ir/ir.h>
#include <torch/csrc/jit/passes/dead_code_elimination.h>

#include <algorithm>
#include <limits>
#include <memory>
#include <optional>
#include <vector>

#include "stac/segment/torch_script_internal.h"

namespace stac {
namespace {

using torch::jit::Graph;
using torch::jit::Node;
using torch::jit::Value;

constexpr int64_t kAll = std::numeric_limits<int64_t>::max();

bool IsNumber(const Value* value, int64_t number) {
  return torch::jit::constant_as<int64_t>(value) == number;
}

bool IsEverything(const Value* end) { return IsNone(end) || IsNumber(end, kAll); }

bool TakesTheFirst(const Node& slice) {
  return slice.kind() == at::aten::slice && slice.inputs().size() == 5 &&  // not of a list
         (IsNone(slice.input(2)) || IsNumber(slice.input(2), 0)) && IsNumber(slice.input(4), 1);
}

void SkipWholeSlicesOf(torch::jit::Block& block) {
  for (auto it = block.nodes().begin(); it != block.nodes().end();) {
    Node& node = **it++;
    for (torch::jit::Block* inner : node.blocks()) SkipWholeSlicesOf(*inner);
    if (!TakesTheFirst(node)) continue;
    if (IsEverything(node.input(3))) {
      node.output()->replaceAllUsesWith(node.input(0));
      node.destroy();
    } else if (node.input(3)->type()->kind() == c10::TypeKind::IntType) {
      Node* first = block.owningGraph()->create(at::Symbol::fromQualString("stac::first_ones"),
                                                {node.input(0), node.input(1), node.input(3)});
      first->insertBefore(&node);
      first->output()->setType(at::TensorType::get());
      node.output()->replaceAllUsesWith(first->output());
      node.destroy();
    }
  }
}

// How a network ends: enlarged bilinearly, then sliced.
struct Ending {
  Node* enlargement = nullptr;
  Node* class_slice = nullptr;
  Value *height_end = nullptr, *width_end = nullptr;  // null: everything

  // Takes a slice into account; false if it is not one that takes the first of something.
  bool Add(Node& slice) {
    if (!TakesTheFirst(slice)) return false;
    const auto axis = torch::jit::constant_as<int64_t>(slice.input(1));
    Value* end = slice.input(3);
    if (!axis) return false;
    if (IsEverything(end)) return true;
    Value*& kept = *axis == 2 ? height_end : width_end;
    if (*axis == 1 && class_slice == nullptr) {
      class_slice = &slice;
    } else if ((*axis == 2 || *axis == 3) && kept == nullptr) {
      kept = end;
    } else {
      return false;
    }
    return true;
  }
};

std::optional<Ending> EndingOf(const std::shared_ptr<Graph>& graph) {
  if (graph->outputs().size() != 1) return std::nullopt;
  Ending ending;
  Node* node = graph->outputs()[0]->node();
  while (node->kind() == at::aten::slice) {
    if (!ending.Add(*node)) return std::nullopt;
    node = node->input(0)->node();
  }
  if (!EnlargesToSize(*node) || node->owningBlock() != graph->block()) return std::nullopt;
  // What is changed in place before or behind cannot be taken at the end.
  const torch::jit::AliasDb aliases(graph);
  if (aliases.hasWriters(node->input(0)) || aliases.hasWriters(node->output())) return std::nullopt;
  ending.enlargement = node;
  return ending;
}

// ---- Classes that are cut off ----

// The slice at the end that takes the first so many channels.
Node* ClassSlice(Value* output) {
  for (Node* node = output->node(); TakesTheFirst(*node); node = node->input(0)->node()) {
    if (node->output()->uses().size() != 1) return nullptr;
    if (IsNumber(node->input(1), 1) && !IsEverything(node->input(3)))
      return torch::jit::constant_as<int64_t>(node->input(3)) ? node : nullptr;
  }
  return nullptr;
}

// What makes the channels of which a slice takes some, if nothing else looks at them and what lies
// between cuts off rows and columns alone.
Node* SourceOfClasses(Value* channels) {
  while (channels->uses().size() == 1) {
    Node* node = channels->node();
    if (!TakesTheFirst(*node)) return node;
    const bool spatial = IsNumber(node->input(1), 2) || IsNumber(node->input(1), 3);
    if (!spatial && !IsEverything(node->input(3))) return nullptr;
    channels = node->input(0);
  }
  return nullptr;
}

// Leaves a convolution its first so many outputs; false if it is none, or one whose weights or
// groups say otherwise.
bool KeepClasses(Node& node, int64_t count) {
  const bool transposed = node.kind() == at::Symbol::fromQualString("aten::conv_transpose2d");
  if (!transposed && node.kind() != at::aten::conv2d) return false;
  const auto weight = torch::jit::constant_as<at::Tensor>(node.input(1));
  const auto bias = torch::jit::toIValue(node.input(2));
  const int64_t axis = transposed ? 1 : 0;
  if (!weight || weight->dim() != 4 || !bias || !IsNumber(node.input(6), 1) || count < 1 ||
      count > weight->size(axis))
    return false;
  const torch::jit::WithInsertPoint before(&node);
  Graph& graph = *node.owningGraph();
  node.replaceInput(1, graph.insertConstant(weight->narrow(axis, 0, count).clone()));
  if (bias->isTensor())
    node.replaceInput(2, graph.insertConstant(bias->toTensor().narrow(0, 0, count).clone()));
  return true;
}

}  // namespace

bool TakeOffEnlargement(torch::jit::Module& frozen) {
  const auto graph = frozen.get_method("forward").graph();
  const auto ending = EndingOf(graph);
  if (!ending) return false;
  const torch::jit::WithInsertPoint at_the_end(graph->block());
  Value* logits = ending->enlargement->input(0);
  if (Node* slice = ending->class_slice) {
    const auto in = slice->inputs();
    Node* same =
        graph->insertNode(graph->create(at::aten::slice, {logits, in[1], in[2], in[3], in[4]}));
    logits = same->output()->setType(at::TensorType::get());
  }
  const auto end_or_all = [&](Value* end) { return end ? end : graph->insertConstant(kAll); };
  Node* tuple = graph->insertNode(
      graph->createTuple({logits, ending->enlargement->input(1), ending->enlargement->input(2),
                          end_or_all(ending->height_end), end_or_all(ending->width_end)}));
  graph->eraseOutput(0);
  graph->registerOutput(tuple->output());
  torch::jit::EliminateDeadCode(graph);
  return true;
}

void SkipWholeSlices(torch::jit::Module& frozen) {
  DefineOperations();
  SkipWholeSlicesOf(*frozen.get_method("forward").graph()->block());
}

void SkipUnusedClasses(torch::jit::Module& frozen) {
  const auto graph = frozen.get_method("forward").graph();
  Value* output = graph->outputs().front();
  const Node& last = *output->node();
  if (last.kind() == torch::jit::prim::TupleConstruct && !last.inputs().empty())
    output = output->node()->input(0);
  Node* slice = ClassSlice(output);
  if (slice == nullptr) return;
  Node* convolution = SourceOfClasses(slice->input(0));
  if (convolution == nullptr) return;
  if (!KeepClasses(*convolution, *torch::jit::constant_as<int64_t>(slice->input(3)))) return;
  slice->output()->replaceAllUsesWith(slice->input(0));
  slice->destroy();
  torch::jit::EliminateDeadCode(graph);
}

NetworkOutput OutputWithEnlargement(const c10::IValue& output) {
  const std::vector<c10::IValue> parts = output.toTupleRef().elements().vec();
  const auto size = parts[1].toIntVector();
  TORCH_CHECK(size.size() == 2 && size[0] > 0 && size[1] > 0,
              "it enlarges its logits to an impossible size");
  // As slices have it: an end below zero counts from the last one.
  const auto kept = [](int64_t all, int64_t end) {
    return std::clamp<int64_t>(end < 0 ? end + all : end, 0, all);
  };
  return {parts[0].toTensor(),
          {.to = {size[0], size[1]}, .align_corners = parts[2].toBool()},
          {kept(size[0], parts[3].toInt()), kept(size[1], parts[4].toInt())}};
}

}  // namespace stac
