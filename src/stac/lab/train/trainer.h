#pragma once

#include <atomic>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <vector>

#include "stac/base/result.h"
#include "stac/lab/train/recipe.h"
#include "stac/lab/train/sample.h"

namespace stac {

// Codes a picture (height x width x 3 bytes, in place) as an intra frame at the given QP.
using CodecNoise = std::function<Status(int width, int height, int qp, std::vector<uint8_t>& rgb)>;

struct TrainRun {
  // Receives checkpoint.pt, log.csv and, at the end, network.stacnet. Created if missing.
  std::filesystem::path folder;
  // Go on from the checkpoint in the folder; where there is none that is said, and training begins.
  // Otherwise a checkpoint there is an error, so that nothing is overwritten by accident.
  bool resume = false;
  // Stop (with a checkpoint) before this step; < 0: run to the recipe's end.
  int64_t stop_before = -1;
  bool show_progress = true;
  const std::atomic<bool>* stop = nullptr;  // set: end after this step, with a checkpoint
  CodecNoise codec_noise;  // thread-safe; needed where the recipe's codec_share is above 0
};

struct TrainReport {
  int64_t steps = 0;           // done in total, resumed ones included
  double first_loss = 0;       // mean over the first steps of this run, at most 20
  double last_loss = NAN;      // mean over the last steps, at most 20; NaN: none was made
  double pixel_accuracy = -1;  // of the validation pictures, -1: none
  double mean_iou = -1;
  int64_t parameters = 0;
  bool finished = false;
};

// Trains the recipe's network on the samples, which are as Distil (dataset.h) makes them, and
// validates on `validation`: against human labels where a picture has them and the recipe is not
// distilled, otherwise against the teachers' most probable class. Runs on the recipe's device with
// all cores. A run that was killed and resumed ends with the same weights as one that was not: on a
// CPU bit for bit on the same machine, on CUDA up to the order of its sums. Fails on samples that
// do not fit the recipe, a checkpoint that does not belong to it, or a loss that is not finite; the
// last checkpoint is kept in every case.
Result<TrainReport> TrainNetwork(const TrainRecipe& recipe, const std::vector<TrainSample>& samples,
                                 const std::vector<TrainSample>& validation, const TrainRun& run);

}  // namespace stac
