#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <thread>

#include "stac/base/bounded_queue.h"
#include "stac/base/clock.h"
#include "stac/base/result.h"
#include "stac/capture/frame_source.h"

namespace stac {

struct CapturedFrame {
  Result<Frame> frame;  // an error is the last one
  Micros at = 0;        // when it was at hand
};

// Reads a source on a thread of its own, three frames ahead. While those are not taken a file
// waits, and a live source drops the oldest.
class FrameCapture {
 public:
  // Both are borrowed.
  FrameCapture(FrameSource* source, const Clock* clock) : source_(source), clock_(clock) {}
  ~FrameCapture() { Stop(); }

  // Once. Nothing more is read after `stop`.
  void Start(const std::atomic<bool>& stop);
  // The next frame; nullopt if there is none within the time.
  std::optional<CapturedFrame> Next(Micros timeout) { return frames_.PopFor(timeout); }
  // The source has ended, and all of it was taken.
  bool ended() const { return frames_.drained(); }
  // Frames so far that nobody took in time.
  int64_t dropped() const { return dropped_; }
  // Interrupts the source and waits for the thread.
  void Stop();

 private:
  void Loop(const std::atomic<bool>& stop);

  FrameSource* source_;
  const Clock* clock_;
  BoundedQueue<CapturedFrame> frames_{3};
  std::atomic<int64_t> dropped_{0};
  std::thread thread_;
};

}  // namespace stac
