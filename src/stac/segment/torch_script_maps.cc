#include <torch/csrc/jit/ir/alias_analysis.h>
#include <torch/csrc/jit/ir/constants.h>
#include <torch/csrc/jit/ir/ir.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "stac/segment/torch_script_internal.h"

namespace stac {
namespace {

using torch::jit::Node;
using torch::jit::Value;

bool Is(const Node& node, const char* kind) {
  return node.kind() == at::Symbol::fromQualString(kind);
}

bool IsList(const Value* value) { return value->type()->kind() == c10::TypeKind::ListType; }

bool IsConstantList(const Value* value) {
  const auto constant = torch::jit::toIValue(value);
  return constant && constant->isIntList();
}

// What made `value`, if it is of that kind and nothing else looks at it.
const Node* OnlySource(const Value* value, const char* kind) {
  const Node* source = value->node();
  return value->uses().size() == 1 && Is(*source, kind) ? source : nullptr;
}

// What a reshape shuffles, if it does; null otherwise.
const Node* ShuffledView(const Node& reshape) {
  if (!Is(reshape, "aten::reshape")) return nullptr;
  const Node* transpose = OnlySource(reshape.input(0), "aten::transpose");
  if (transpose == nullptr || torch::jit::constant_as<int64_t>(transpose->input(1)) != 1 ||
      torch::jit::constant_as<int64_t>(transpose->input(2)) != 2)
    return nullptr;
  const Node* view = OnlySource(transpose->input(0), "aten::view");
  return view != nullptr && IsList(view->input(1)) ? view : nullptr;
}

void FindNodes(torch::jit::Block& block, std::vector<Node*>& nodes) {
  for (Node* node : block.nodes()) {
    for (torch::jit::Block* inner : node->blocks()) FindNodes(*inner, nodes);
    nodes.push_back(node);
  }
}

bool ReplacePooling(Node& node) {
  if (Is(node, "aten::adaptive_avg_pool2d") && node.inputs().size() == 2 && IsList(node.input(1))) {
    ReplaceBy(node, "averaged_to", node.inputs());
    return true;
  }
  if (!Is(node, "aten::avg_pool2d") || node.inputs().size() != 7) return false;
  const auto in = node.inputs();
  const bool plain = std::all_of(in.begin() + 1, in.begin() + 4, IsConstantList) &&
                     torch::jit::constant_as<bool>(in[4]) == false && IsNone(in[6]);
  if (!plain) return false;
  ReplaceBy(node, "average", {in[0], in[1], in[2], in[3], in[5]});
  return true;
}

bool ReplaceEnlargement(Node& node) {
  if (!EnlargesToSize(node) || !IsList(node.input(1))) return false;
  ReplaceBy(node, "enlarged_to", node.inputs().slice(0, 3));
  return true;
}

bool ReplaceJoin(Node& node) {
  if (!Is(node, "aten::cat") || node.inputs().size() != 2) return false;
  ReplaceBy(node, "joined", node.inputs());
  return true;
}

// ---- What several nodes look at ----

// Whether gradients may come from there to `value`.
bool MayBeDifferentiated(const torch::jit::Use& use) {
  const Node& user = *use.user;
  if (!user.blocks().empty() || user.kind() == torch::jit::prim::Return) return false;
  return std::any_of(user.outputs().begin(), user.outputs().end(), [](const Value* output) {
    const auto kind = output->type()->kind();
    const bool list_of_maps = kind == c10::TypeKind::ListType &&
                              output->type()->containedType(0)->kind() == c10::TypeKind::TensorType;
    return kind == c10::TypeKind::TensorType || list_of_maps;
  });
}

void CopyForEachUser(Value& value, const torch::jit::AliasDb& aliases) {
  if (value.type()->kind() != c10::TypeKind::TensorType || aliases.hasWriters(&value)) return;
  std::vector<torch::jit::Use> uses;
  for (const torch::jit::Use& use : value.uses())
    if (MayBeDifferentiated(use)) uses.push_back(use);
  if (uses.size() < 2) return;
  Node* source = value.node();
  // What a branch or a loop answers may be nothing at all; whoever looks at it has asked first.
  const bool of_the_graph = source->kind() == torch::jit::prim::Param &&
                            source->owningBlock() == source->owningGraph()->block();
  if (!source->blocks().empty() || source->kind() == torch::jit::prim::Uninitialized ||
      (source->kind() == torch::jit::prim::Param && !of_the_graph))
    return;
  torch::jit::Graph& graph = *source->owningGraph();
  Node* after = source->kind() == torch::jit::prim::Param ? *source->owningBlock()->nodes().begin()
                                                          : source->next();
  const torch::jit::WithInsertPoint behind(after);
  Value* count = graph.insertConstant(static_cast<int64_t>(uses.size()));
  Node* copies =
      graph.insertNode(graph.create(at::Symbol::fromQualString("stac::copies"), {&value, count}));
  copies->output()->setType(c10::ListType::ofTensors());
  Node* each = graph.insertNode(graph.createListUnpack(copies->output(), uses.size()));
  for (size_t i = 0; i < uses.size(); ++i)
    uses[i].user->replaceInput(uses[i].offset, each->output(i));
}

void FindValues(torch::jit::Block& block, std::vector<Value*>& values) {
  for (Value* input : block.inputs()) values.push_back(input);
  for (Node* node : block.nodes()) {
    for (torch::jit::Block* inner : node->blocks()) FindValues(*inner, values);
    if (node->kind() == torch::jit::prim::Constant) continue;
    for (Value* output : node->outputs()) values.push_back(output);
  }
}

}  // namespace

bool IsNone(const Value* value) {
  const auto constant = torch::jit::toIValue(value);
  return constant && constant->isNone();
}

void CopyForEachUser(const std::shared_ptr<torch::jit::Graph>& graph) {
  const torch::jit::AliasDb aliases(graph);
  std::vector<Value*> values;
  FindValues(*graph->block(), values);
  for (Value* value : values) CopyForEachUser(*value, aliases);
}

bool EnlargesToSize(const Node& node) {
  if (!Is(node, "aten::upsample_bilinear2d")) return false;
  const auto in = node.inputs();
  return !IsNone(in[1]) && std::all_of(in.begin() + 3, in.end(), IsNone);
}

void ReplaceBy(Node& node, const char* name, at::ArrayRef<Value*> inputs) {
  torch::jit::Graph& graph = *node.owningGraph();
  Node* replacement = graph.create(at::Symbol::fromQualString(std::string("stac::") + name), inputs,
                                   /*num_outputs=*/1);
  replacement->insertBefore(&node);
  replacement->output()->setType(at::TensorType::get());
  node.output()->replaceAllUsesWith(replacement->output());
}

void ReplaceShuffles(const std::shared_ptr<torch::jit::Graph>& graph) {
  const torch::jit::AliasDb aliases(graph);
  std::vector<Node*> nodes;
  FindNodes(*graph->block(), nodes);
  for (Node* node : nodes) {
    const Node* view = ShuffledView(*node);
    // Some of them are views, through which maps may be changed.
    if (view == nullptr || aliases.hasWriters(node->output()) || aliases.hasWriters(view->input(0)))
      continue;
    ReplaceBy(*node, "shuffled", {view->input(0), view->input(1), node->input(1)});
    node->destroy();
  }
}

bool ReplaceMapOperation(Node& node) {
  return ReplacePooling(node) || ReplaceEnlargement(node) || ReplaceJoin(node);
}

}  // namespace stac
