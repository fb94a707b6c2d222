#pragma once

#include <chrono>
#include <cstdint>

namespace stac {

// Microseconds since an arbitrary origin. All session code takes time from a Clock, so that the
// simulator can run it in virtual time.
using Micros = int64_t;

class Clock {
 public:
  virtual ~Clock() = default;
  virtual Micros Now() const = 0;
};

// Monotonic wall time. Thread-safe.
class SystemClock final : public Clock {
 public:
  Micros Now() const override {
    return std::chrono::duration_cast<std::chrono::microseconds>(
               std::chrono::steady_clock::now().time_since_epoch())
        .count();
  }
};

// Virtual time: moves only when told to. Not thread-safe.
class ManualClock final : public Clock {
 public:
  Micros Now() const override { return now_; }
  // Never moves backwards: an earlier `time` is ignored.
  void AdvanceTo(Micros time) { now_ = time > now_ ? time : now_; }

 private:
  Micros now_ = 0;
};

// Wall-clock milliseconds since construction or the last Lap().
class Stopwatch {
 public:
  double Milliseconds() const {
    return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start_)
        .count();
  }
  double Lap() {
    const double elapsed = Milliseconds();
    start_ = std::chrono::steady_clock::now();
    return elapsed;
  }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace stac
