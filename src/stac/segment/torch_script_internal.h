#pragma once

#include <torch/csrc/jit/api/module.h>

#include "stac/segment/network_answer_internal.h"

// TorchScript networks made faster. For LibTorch code only; all of them may throw.

namespace stac {

// The network with its weights as constants, batch normalizations merged into the convolutions
// before them, layers that give the gradient faster in the place of ATen's
// (frozen_layers_internal.h), and on the CPU kernels whose channels lie side by side, which lays
// its maps out as oneDNN likes them. Convolutions find the gradient in numbers of `gradient_type`.
// In evaluation mode, at its final precision and device.
torch::jit::Module Frozen(const torch::jit::Module& network, const at::Device& device,
                          at::ScalarType gradient_type);

// Makes known the operations that such graphs call in the place of ATen's. Any number of times,
// from any thread.
void DefineOperations();

// Takes off a frozen network the bilinear enlargement with which it ends, and the slices behind it.
// False, and nothing done, if it does not end so. From then on the network's output is a tuple for
// OutputWithEnlargement.
bool TakeOffEnlargement(torch::jit::Module& frozen);
NetworkOutput OutputWithEnlargement(const c10::IValue& output);

// Slices that turn out to take everything are no longer made. After the above, which looks for
// them.
void SkipWholeSlices(torch::jit::Module& frozen);

}  // namespace stac
