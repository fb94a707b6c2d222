#include "stac/lab/worker_pool.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <new>
#include <thread>
#include <vector>

#include "stac/base/progress.h"

namespace stac {
namespace {

constexpr size_t kErrorsShown = 3;
constexpr size_t kMaxErrorBytes = 2000;  // below PIPE_BUF: written in one piece

// Shared by all processes.
struct Board {
  std::atomic<int64_t> next{0};
  std::atomic<int64_t> done{0};
  std::atomic<int64_t> failed{0};
};
static_assert(std::atomic<int64_t>::is_always_lock_free);

void Report(int pipe, std::string message) {
  message.resize(std::min(message.size(), kMaxErrorBytes));
  for (char& c : message) {
    if (c == '\n') c = ' ';
  }
  message += '\n';
  // Nothing can be done if the parent is gone.
  [[maybe_unused]] const ssize_t written = write(pipe, message.data(), message.size());
}

[[noreturn]] void Work(Board& board, int64_t count, int errors,
                       const std::function<Result<JobRunner>()>& make_runner) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);  // never outlive the parent
  const auto runner = make_runner();
  if (!runner) {
    Report(errors, runner.error().message);
    ++board.failed;
    _exit(1);
  }
  for (int64_t job = board.next++; job < count; job = board.next++) {
    if (const Status status = (*runner)(job); !status) {
      Report(errors, status.error().message);
      ++board.failed;
    }
    ++board.done;
  }
  _exit(0);  // no destructors: they belong to the parent
}

}  // namespace

Status RunInProcesses(int64_t count, int workers, const std::string& title,
                      const std::function<Result<JobRunner>()>& make_runner,
                      const std::function<std::string(int64_t job)>& describe,
                      const std::atomic<bool>& stop) {
  if (count == 0) return OkStatus();
  void* memory =
      mmap(nullptr, sizeof(Board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  int pipes[2];
  if (memory == MAP_FAILED || pipe2(pipes, O_CLOEXEC) != 0) {
    return Fail("cannot share memory with worker processes");
  }
  Board& board = *new (memory) Board;
  std::vector<pid_t> children;
  const auto start = [&] {
    const pid_t child = fork();
    if (child == 0) {
      close(pipes[0]);
      Work(board, count, pipes[1], make_runner);
    }
    if (child > 0) children.push_back(child);
  };
  for (int i = 0; i < std::min<int64_t>(workers, count); ++i) start();
  fcntl(pipes[0], F_SETFL, O_NONBLOCK);

  Progress progress(title, count);
  std::string messages;
  int crashed = 0;
  while (!children.empty()) {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    if (stop) {
      for (const pid_t child : children) kill(child, SIGKILL);
    }
    int died = 0;
    std::erase_if(children, [&](pid_t child) {
      int status = 0;
      if (waitpid(child, &status, WNOHANG) != child) return false;
      if (WIFSIGNALED(status) && !stop) {
        ++crashed, ++died;
        messages += fmt::format("a worker died of signal {}\n", WTERMSIG(status));
      }
      return true;
    });
    // The jobs that a dead worker would have taken are still to be done; but not where workers die
    // before they take one.
    for (; died > 0 && board.next < count && crashed <= board.next; --died) start();
    char buffer[4096];
    for (ssize_t n; (n = read(pipes[0], buffer, sizeof(buffer))) > 0;) messages.append(buffer, n);
    const int64_t job = std::min(board.next.load(), count) - 1;
    progress.Update(board.done, job >= 0 ? describe(job) : "");
  }
  progress.Finish();
  close(pipes[0]);
  close(pipes[1]);
  const int64_t failed = board.failed + crashed, done = board.done;
  munmap(memory, sizeof(Board));
  if (stop) return Fail("stopped after {} of {}; run the same command to go on", done, count);
  if (failed == 0 && done == count) return OkStatus();
  if (failed == 0)
    return Fail("only {} of {} were done: workers could not start or ended", done, count);
  std::string shown;
  size_t lines = 0;
  for (size_t at = 0; at < messages.size() && lines < kErrorsShown; ++lines) {
    const size_t end = messages.find('\n', at);
    shown += "\n  " + messages.substr(at, end - at);
    at = end + 1;
  }
  const int64_t left = count - done - crashed;
  return Fail("{} of {} failed{}, for example:{}", failed, count,
              left > 0 ? fmt::format(" and {} were not begun", left) : "", shown);
}

}  // namespace stac
