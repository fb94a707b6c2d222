#pragma once

#include <gtest/gtest.h>

#include <vector>

#include "stac/lab/train/batch_internal.h"
#include "stac/lab/train/dataset.h"
#include "stac/lab/train/test_recipe.h"

// For tests.

namespace stac {

inline TrainRecipe Tiny() { return *ParseTrainRecipe(kTinyRecipe); }

inline std::vector<TrainSample> TinySamples(const TrainRecipe& recipe) {
  return *LoadTrainData(recipe, recipe.data);
}

inline TrainBatch MustMake(const BatchMaker& maker, int64_t step) {
  auto batch = maker.Make(step);
  EXPECT_TRUE(batch);
  return batch.value_or(TrainBatch{});
}

}  // namespace stac
