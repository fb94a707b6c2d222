#pragma once

#include <torch/types.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "stac/base/result.h"
#include "stac/lab/train/rare_classes_internal.h"
#include "stac/lab/train/recipe.h"
#include "stac/lab/train/sample.h"
#include "stac/lab/train/thing_internal.h"
#include "stac/lab/train/trainer.h"

namespace stac {

struct TrainBatch {
  torch::Tensor rgb;      // float [N,3,h,w] in 0..1
  torch::Tensor labels;   // int64 [N,h/stride,w/stride], 255 = unknown; undefined: none has labels
  torch::Tensor teacher;  // float [N,classes,h/4,w/4], sums to 1; undefined: no teacher,
                          // or a live one
};

// Makes the batch of a step: which samples, in which order, and how each is changed depends on
// nothing but the recipe's seed and the step, so that a resumed run goes on exactly as before.
// Samples are visited in a new random order in every pass, but for rare_share of the places in the
// batches, which show rare classes.
class BatchMaker {
 public:
  // `samples` must outlive it and not be empty. codec_noise may be empty if its share is 0.
  BatchMaker(const TrainRecipe& recipe, const std::vector<TrainSample>& samples,
             CodecNoise codec_noise);
  Result<TrainBatch> Make(int64_t step) const;

 private:
  struct Picture {
    torch::Tensor rgb, labels, teacher;
  };
  size_t SampleAt(int64_t position) const;
  std::optional<RareClasses::Place> RarePlaceAt(int64_t position) const;
  Result<Picture> Augmented(int64_t position) const;
  void Paste(int64_t step, std::vector<Picture>& pictures) const;
  Thing CutOutRare(Random& random) const;
  void AddThings(int64_t position, Picture& picture) const;
  void Mix(int64_t step, std::vector<Picture>& pictures) const;

  const TrainRecipe& recipe_;
  const std::vector<TrainSample>& samples_;
  CodecNoise codec_noise_;
  std::unique_ptr<const RareClasses> rare_;  // null: not needed
  bool any_labels_ = false;
  mutable int64_t pass_ = -1;
  mutable std::vector<uint32_t> order_;
};

}  // namespace stac
