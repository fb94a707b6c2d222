#pragma once

#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

#include "stac/base/bounded_queue.h"
#include "stac/lab/train/batch_internal.h"

namespace stac {

// The batches of a range of steps, in order, made ahead by worker threads: beside a GPU the
// processor has nothing better to do. The batches are the same for any number of workers.
class BatchLoader {
 public:
  // `recipe` and `samples` must outlive it; codec_noise must be thread-safe. workers 0: each batch
  // is made when it is asked for, by the calling thread.
  BatchLoader(const TrainRecipe& recipe, const std::vector<TrainSample>& samples,
              const CodecNoise& codec_noise, int64_t first_step, int64_t end_step, int workers);
  ~BatchLoader();
  // Waits for the next batch. Must not be called more often than there are steps.
  Result<TrainBatch> Next();

 private:
  using Queue = BoundedQueue<Result<TrainBatch>>;

  BatchMaker maker_;
  const int64_t first_step_;
  int64_t step_;  // of the next batch
  const int64_t end_step_;
  std::vector<std::unique_ptr<Queue>> ready_;  // one for each worker
  std::vector<std::thread> threads_;
};

}  // namespace stac
