#pragma once

#include <atomic>
#include <filesystem>
#include <vector>

#include "stac/base/result.h"
#include "stac/lab/train/recipe.h"
#include "stac/lab/train/sample.h"

namespace stac {

// Reads the pictures of the sources in order, cropped to multiples of 4, with human labels where
// the recipe uses them and the source has them. CamVid's 11 classes are taken as they are by a
// network of 11 classes, and mapped to the Cityscapes train ids by one of 19 (bicyclist, which is
// two classes there, becomes unknown). Fails if a source is empty, if a label lies outside the
// network's classes, or, for a recipe without teachers, if a picture has no labels.
Result<std::vector<TrainSample>> LoadTrainData(const TrainRecipe& recipe,
                                               const std::vector<TrainDataSpec>& sources);

// Adds the teachers' probabilities to every sample. They are kept in `cache_folder` (empty: not
// kept), keyed by the picture, the teachers' contents and their weights. Shows progress. Fails if a
// teacher does not load or has another class count than the recipe, or if `stop` is set on the way.
Status Distil(const TrainRecipe& recipe, const std::filesystem::path& cache_folder,
              std::vector<TrainSample>& samples, const std::atomic<bool>* stop = nullptr);

}  // namespace stac
