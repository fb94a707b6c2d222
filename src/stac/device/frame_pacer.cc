#include "stac/device/frame_pacer.h"

#include <algorithm>
#include <utility>

namespace stac {
namespace {

constexpr Micros kTooLate = 500'000;

}  // namespace

std::optional<Micros> FramePacer::Due(Micros pts, Micros read, Micros now) {
  const bool starved = std::exchange(starved_, false);
  if (!origin_ || starved) origin_ = std::max(origin_.value_or(read - pts), read - pts);
  const Micros due = *origin_ + pts;
  if (now - due > kTooLate) return std::nullopt;
  return due;
}

}  // namespace stac
