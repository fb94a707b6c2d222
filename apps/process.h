#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "stac/base/result.h"

namespace stac {

// A child process running this program's own executable. Ended (SIGTERM, then SIGKILL after 10 s)
// when the object goes.
class ChildProcess {
 public:
  // `lower_priority`: by so many steps of niceness.
  static Result<ChildProcess> Start(const std::vector<std::string>& arguments,
                                    int lower_priority = 0);
  ChildProcess(ChildProcess&& other) noexcept;
  ChildProcess& operator=(ChildProcess&&) = delete;
  ~ChildProcess();

  // The exit code if it has ended, otherwise -1. Never blocks.
  int Poll();
  // Waits for the end; 128 + signal for a killed one.
  int Wait();
  // SIGTERM.
  void Stop();

 private:
  explicit ChildProcess(pid_t pid) : pid_(pid) {}
  pid_t pid_;
  int exit_code_ = -1;
};

}  // namespace stac
