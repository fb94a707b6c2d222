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

bool IsNone(const Value* value) {
  const auto constant = torch::jit::toIValue(value);
  return constant && constant->isNone();
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

bool ReplaceShuffle(Node& reshape) {
  if (!Is(reshape, "aten::reshape")) return false;
  const Node* transpose = OnlySource(reshape.input(0), "aten::transpose");
  if (transpose == nullptr || torch::jit::constant_as<int64_t>(transpose->input(1)) != 1 ||
      torch::jit::constant_as<int64_t>(transpose->input(2)) != 2)
    return false;
  const Node* view = OnlySource(transpose->input(0), "aten::view");
  if (view == nullptr || !IsList(view->input(1))) return false;
  ReplaceBy(reshape, "shuffled", {view->input(0), view->input(1), reshape.input(1)});
  return true;
}

bool ReplacePooling(Node& node) {
  if (Is(node, "aten::adaptive_avg_pool2d") && IsList(node.input(1))) {
    ReplaceBy(node, "averaged_to", node.inputs());
    return true;
  }
  if (!Is(node, "aten::avg_pool2d")) return false;
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
  if (!Is(node, "aten::cat")) return false;
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

bool ReplaceMapOperation(Node& node) {
  return ReplaceShuffle(node) || ReplacePooling(node) || ReplaceEnlargement(node) ||
         ReplaceJoin(node);
}

}  // namespace stac
