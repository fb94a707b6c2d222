#include "stac/segment/openmp_wait.h"

#include <unistd.h>

#include <cstdlib>

namespace stac {

void RestartWithSleepingThreads(char** argv) {
  if (std::getenv("OMP_WAIT_POLICY") != nullptr || std::getenv("GOMP_SPINCOUNT") != nullptr) return;
  if (setenv("OMP_WAIT_POLICY", "PASSIVE", 1) != 0) return;
  execv("/proc/self/exe", argv);  // returns only if it failed
}

}  // namespace stac
