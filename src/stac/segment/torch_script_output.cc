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

bool IsNone(const Value* value) {
  const auto constant = torch::jit::toIValue(value);
  return constant && constant->isNone();
}

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

// To a size, not by factors, which round differently.
bool EnlargesToSize(const Node& node) {
  if (node.kind() != at::Symbol::fromQualString("aten::upsample_bilinear2d")) return false;
  const auto in = node.inputs();
  return !IsNone(in[1]) && std::all_of(in.begin() + 3, in.end(), IsNone);
}

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
  SkipWholeSlicesOf(*frozen.get_method("forward").graph()->block());
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
