#pragma once

#include <torch/csrc/jit/api/module.h>
#include <torch/csrc/jit/ir/ir.h>

#include <array>
#include <cstdint>
#include <memory>

#include "stac/segment/network_answer_internal.h"

// TorchScript networks made faster. For LibTorch code only; all of them may throw.

namespace stac {

// Networks come here frozen: with their weights as constants, and batch normalizations merged into
// the convolutions before them. The steps follow in this order.

// Takes off a frozen network the bilinear enlargement with which it ends, and the slices behind it.
// False, and nothing done, if it does not end so. From then on the network's output is a tuple for
// OutputWithEnlargement.
bool TakeOffEnlargement(torch::jit::Module& frozen);
NetworkOutput OutputWithEnlargement(const c10::IValue& output);

// Where a network's logits are the first so many of a convolution's answers, the others are no
// longer computed.
void SkipUnusedClasses(torch::jit::Module& frozen);

// Slices that turn out to take everything are no longer made.
void SkipWholeSlices(torch::jit::Module& frozen);

// Layers that give the gradient faster in the place of ATen's (frozen/layers_internal.h), and on
// the CPU kernels whose channels lie side by side, which lays maps out as oneDNN likes them.
// Convolutions find the gradient in numbers of `gradient_type`. At the network's final precision
// and device.
void ReplaceLayers(torch::jit::Module& frozen, const at::Device& device,
                   at::ScalarType gradient_type);

// ---- Parts of these ----

// Makes known the operations that such graphs call in the place of ATen's. Any number of times,
// from any thread.
void DefineOperations();

// What looks at `node` looks at stac::`name` of `inputs`, which stand before it, from now on.
void ReplaceBy(torch::jit::Node& node, const char* name, at::ArrayRef<torch::jit::Value*> inputs);

// Views, transposes and reshapes that shuffle channels become one operation. Before other layers
// are replaced.
void ReplaceShuffles(const std::shared_ptr<torch::jit::Graph>& graph);

// Replaces `node` if it joins or resamples maps; false if not.
bool ReplaceMapOperation(torch::jit::Node& node);

// Gives each of several nodes that look at a map one of its own (Copies).
void CopyForEachUser(const std::shared_ptr<torch::jit::Graph>& graph);

// Height and width of what may be one number for both.
inline std::array<int64_t, 2> Pair(at::IntArrayRef numbers) {
  return {numbers.front(), numbers.back()};
}

// Whether it is known to be None.
bool IsNone(const torch::jit::Value* value);

// Whether it enlarges bilinearly and to a size, not by factors, which round differently.
bool EnlargesToSize(const torch::jit::Node& node);

}  // namespace stac
