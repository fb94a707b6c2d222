#pragma once

#include <functional>
#include <optional>
#include <thread>
#include <utility>

#include "stac/base/bounded_queue.h"

namespace stac {

// A thread that does one job at a time for another one, which polls for what came of it. Its
// functions are for that other thread.
template <typename Job, typename Done>
class JobThread {
 public:
  // On the thread: `work` does a job, and `finished` is called when Poll has something to give.
  JobThread(std::function<Done(Job)> work, std::function<void()> finished)
      : thread_([this, work = std::move(work), finished = std::move(finished)] {
          while (auto job = jobs_.Pop()) {
            done_.Push(work(std::move(*job)));
            finished();
          }
        }) {}
  ~JobThread() { Stop(); }

  // A job was given, and what came of it was not taken yet.
  bool busy() const { return busy_; }
  // Not while busy. Nothing is done after Stop.
  void Start(Job job) { busy_ = jobs_.Push(std::move(job)); }
  // What came of the job; nullopt while it is done, or if there is none. Does not wait.
  std::optional<Done> Poll() {
    auto done = done_.PopFor(0);
    if (done) busy_ = false;
    return done;
  }
  // Waits for a job that is being done; what comes of it can still be taken.
  void Stop() {
    jobs_.Close();
    if (thread_.joinable()) thread_.join();
  }

 private:
  BoundedQueue<Job> jobs_{1};
  BoundedQueue<Done> done_{1};
  bool busy_ = false;
  std::thread thread_;
};

}  // namespace stac
