#include "process.h"

#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <utility>

extern char** environ;

namespace stac {
namespace {

int ExitCode(int status) {
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace

Result<ChildProcess> ChildProcess::Start(const std::vector<std::string>& arguments,
                                         int lower_priority) {
  std::vector<std::string> owned = {"stac"};
  owned.insert(owned.end(), arguments.begin(), arguments.end());
  std::vector<char*> argv;
  for (std::string& argument : owned) argv.push_back(argument.data());
  argv.push_back(nullptr);
  pid_t pid = 0;
  if (const int error =
          posix_spawn(&pid, "/proc/self/exe", nullptr, nullptr, argv.data(), environ)) {
    return Fail("cannot start stac {}: {}", arguments.front(), std::strerror(error));
  }
  if (lower_priority > 0) setpriority(PRIO_PROCESS, static_cast<id_t>(pid), lower_priority);
  return ChildProcess(pid);
}

ChildProcess::ChildProcess(ChildProcess&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)), exit_code_(other.exit_code_) {}

ChildProcess::~ChildProcess() {
  if (pid_ < 0 || Poll() >= 0) return;
  Stop();
  for (int i = 0; i < 100 && Poll() < 0; ++i) usleep(100'000);
  if (Poll() < 0) {
    kill(pid_, SIGKILL);
    Wait();
  }
}

int ChildProcess::Poll() {
  int status = 0;
  if (exit_code_ < 0 && waitpid(pid_, &status, WNOHANG) == pid_) exit_code_ = ExitCode(status);
  return exit_code_;
}

int ChildProcess::Wait() {
  int status = 0;
  if (exit_code_ < 0 && waitpid(pid_, &status, 0) == pid_) exit_code_ = ExitCode(status);
  return exit_code_;
}

void ChildProcess::Stop() {
  if (exit_code_ < 0) kill(pid_, SIGTERM);
}

}  // namespace stac
