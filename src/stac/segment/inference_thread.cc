#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <malloc.h>

#include <algorithm>
#include <limits>
#include <mutex>
#include <thread>

#include "stac/segment/torch_segmenter_internal.h"

namespace stac {
namespace {

// A network's pass asks for the same few hundred megabytes again and again. By default glibc gives
// blocks of such sizes back to the kernel, which then clears every page of the next ones: a quarter
// of a pass at 2048x1024 (docs/results.md).
void KeepFreedMemory() {
#ifdef __GLIBC__
  static std::once_flag once;
  std::call_once(once, [] {
    mallopt(M_MMAP_THRESHOLD, 1 << 30);
    mallopt(M_TRIM_THRESHOLD, std::numeric_limits<int>::max());
  });
#endif
}

}  // namespace

void PrepareInferenceThread(int threads) {
  KeepFreedMemory();
  const int cores = static_cast<int>(std::thread::hardware_concurrency());
  const int wanted = std::max(2, threads > 0 ? threads : cores);
  if (at::get_num_threads() != wanted) at::set_num_threads(wanted);
  // The setting belongs to each thread: one task for every worker.
  at::globalContext().setFlushDenormal(true);
  at::parallel_for(0, wanted, 1,
                   [](int64_t, int64_t) { at::globalContext().setFlushDenormal(true); });
}

}  // namespace stac
