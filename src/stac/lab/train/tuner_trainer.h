#pragma once

#include <atomic>
#include <filesystem>
#include <string>
#include <vector>

#include "stac/adapt/tuner.h"
#include "stac/lab/train/tuner_data.h"

namespace stac {

struct TunerTrainOptions {
  std::vector<int> hidden = {96, 96};  // widths: 20 kFLOP, as the paper's
  int steps = 3000;
  int batch = 256;
  double learning_rate = 2e-3;  // falls linearly to 0
  uint64_t seed = 1;
  std::string origin;         // kept in the weight file
  std::filesystem::path log;  // CSV: step,loss,test_loss; empty: none
  const std::atomic<bool>* stop = nullptr;
};

struct TunerTraining {
  TunerNetwork network;
  double loss = 0;       // mean squared error of log2 of the factors, smoothed
  double test_loss = 0;  // of pairs that are not varied
};

// Trains the network f of Fig. 10 on `data`. Same seed, same network (on one machine). Fails when
// stopped or when the log cannot be written.
Result<TunerTraining> TrainTuner(const TunerData& data, const TunerData& test, size_t outputs,
                                 const TunerTrainOptions& options);

}  // namespace stac
