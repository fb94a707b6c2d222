#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>

#include "stac/base/result.h"

namespace stac {

// Runs jobs 0..count-1 in `workers` forked processes, each taking the next job when it is free;
// the jobs leave their results in files. `make_runner` is called once in each process, after the
// fork, so that no library state crosses it (LibTorch's threads do not survive a fork).
// A job that fails does not stop the others, nor does one that kills its process, which is
// replaced; the first failures are in the returned error, with how many there were. When `stop`
// becomes true the workers are killed and the error says so. The calling process must not have
// other threads.
using JobRunner = std::function<Status(int64_t job)>;
Status RunInProcesses(int64_t count, int workers, const std::string& title,
                      const std::function<Result<JobRunner>()>& make_runner,
                      const std::function<std::string(int64_t job)>& describe,
                      const std::atomic<bool>& stop);

}  // namespace stac
