#include <utility>

#include "stac/base/check.h"
#include "stac/lab/train/batch_loader_internal.h"
#include "stac/segment/torch_segmenter_internal.h"

namespace stac {
namespace {

// Each worker is this many batches ahead at most.
constexpr size_t kAhead = 2;

}  // namespace

BatchLoader::BatchLoader(const TrainRecipe& recipe, const std::vector<TrainSample>& samples,
                         const CodecNoise& codec_noise, int64_t first_step, int64_t end_step,
                         int workers)
    : maker_(recipe, samples, codec_noise),
      first_step_(first_step),
      step_(first_step),
      end_step_(end_step) {
  // A worker makes every n-th batch, so the batches need no sorting.
  for (int i = 0; i < workers; ++i) ready_.push_back(std::make_unique<Queue>(kAhead));
  for (int i = 0; i < workers; ++i) {
    threads_.emplace_back([this, maker = BatchMaker(recipe, samples, codec_noise),
                           first = first_step + i, stride = workers, queue = ready_[i].get()] {
      PrepareInferenceThread(1);
      for (int64_t step = first; step < end_step_; step += stride)
        if (!queue->Push(maker.Make(step))) return;
    });
  }
}

BatchLoader::~BatchLoader() {
  for (const auto& queue : ready_) queue->Close();
  for (std::thread& thread : threads_) thread.join();
}

Result<TrainBatch> BatchLoader::Next() {
  STAC_CHECK(step_ < end_step_);
  const int64_t step = step_++;
  if (ready_.empty()) return maker_.Make(step);
  return *ready_[static_cast<size_t>(step - first_step_) % ready_.size()]->Pop();
}

}  // namespace stac
