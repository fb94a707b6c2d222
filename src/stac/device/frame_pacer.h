#pragma once

#include <optional>

#include "stac/base/clock.h"

namespace stac {

// Plays the frames of a file at their own rate.
class FramePacer {
 public:
  // When a frame of time `pts` that was read at `read` is to be shown, in the terms of `read` and
  // `now`; nullopt: that was more than half a second ago, skip it to catch up. Only our own delay
  // makes us skip frames: a source that cannot keep up is waited for.
  std::optional<Micros> Due(Micros pts, Micros read, Micros now);
  // The next frame was not read yet when it was asked for.
  void OnStarved() { starved_ = true; }

 private:
  std::optional<Micros> origin_;  // when the frame of time 0 was due
  bool starved_ = false;
};

}  // namespace stac
