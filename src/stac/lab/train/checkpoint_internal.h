#pragma once

#include <torch/optim/adamw.h>

#include <cstdint>
#include <filesystem>
#include <memory>

#include "stac/base/result.h"
#include "stac/lab/train/recipe.h"
#include "stac/segment/networks/network_internal.h"
#include "stac/segment/networks/stacnet_internal.h"

namespace stac {

// Everything that changes from step to step.
struct TrainState {
  int64_t step = 0;  // done so far
  std::shared_ptr<SegmentationNetwork> network;
  std::shared_ptr<SegmentationNetwork> average;  // null without averaging
  std::unique_ptr<torch::optim::AdamW> optimizer;
};

// A fresh state: random weights from the recipe's seed, or its initial weights. `rgb` is a batch as
// the recipe makes it, by which normalizations are set that the initial weights lack.
Result<TrainState> MakeTrainState(const TrainRecipe& recipe, const torch::Tensor& rgb,
                                  const torch::Device& device);

// The recipe's averages, and its initial weights if they have a share. Fails with a sentence if one
// is not of the recipe's network.
Result<std::vector<WeightShare>> LoadAverages(const TrainRecipe& recipe);

// Written aside and renamed: a save that fails leaves the file before it as it was.
Status SaveCheckpoint(const std::filesystem::path& file, const TrainRecipe& recipe,
                      const TrainState& state);
// Fills a state made by MakeTrainState for the same recipe. Fails, saying so, if the file is cut
// off or belongs to another network. A changed recipe is taken, with a warning.
Status LoadCheckpoint(const std::filesystem::path& file, const TrainRecipe& recipe,
                      TrainState& state);

}  // namespace stac
