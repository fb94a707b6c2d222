#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "stac/base/result.h"
#include "stac/segment/networks/network_internal.h"

namespace stac {

using NamedTensors = std::map<std::string, torch::Tensor>;

// The tensors of a checkpoint, whichever of these it is:
//   a safetensors file (F32, F16, BF16 and I64 tensors);
//   what torch.save(model.state_dict(), ...) writes since PyTorch 1.6 (a zip archive), also where
//   the state dict lies under "state_dict", "model" or "model_state";
//   a TorchScript archive (its parameters and buffers).
// Older pickles (before PyTorch 1.6) hold code and are refused: load and save them again in Python.
// A leading "module." of all names is removed.
Result<NamedTensors> ReadNamedTensors(const std::filesystem::path& file);

// Copies the tensors into the network by their published names (SegmentationNetwork::
// PublishedName), or by our own. Every tensor of the network must be there with its shape, except
// that auxiliary heads, batch counters and a classifier's bias (0 then) may be missing, and that
// `backbone_only` takes a checkpoint without segmentation head (for training): ImageNet weights of
// DRN ("layer3.0.conv1") or of ResNet-18 for BiSeNet. Errors name the tensor.
Status ImportWeights(const NamedTensors& tensors, bool backbone_only, SegmentationNetwork& network);

}  // namespace stac
