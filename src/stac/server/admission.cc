#include "stac/server/admission.h"

#include <fmt/format.h>

#include <algorithm>

#include "stac/base/check.h"

namespace stac {
namespace {

// The least weight of the newest keyframe in the mean cost; the first ones count alike.
constexpr double kMemory = 0.05;
constexpr double kLargestFactor = 4;
// Of max_load, up to which rates are raised; and by how much at least.
constexpr double kRaisedLoad = 0.9;
constexpr double kLeastRaise = 1.1;
// Smaller frames count as so many pixels: what they cost is not in their pixels, and must not be
// charged to those of others.
constexpr int64_t kLeastPixels = 128 * 128;

}  // namespace

double Admission::Seconds(int64_t pixels) const {
  return us_per_pixel_ * static_cast<double>(std::max(pixels, kLeastPixels)) * 1e-6;
}

double Admission::load() const {
  double seconds = 0;
  for (const auto& [device, grant] : granted_) {
    seconds += grant.keyframe_fps * Seconds(grant.pixels);
  }
  return seconds;
}

Admission::Verdict Admission::Admit(int64_t device, int64_t pixels, double fps) {
  STAC_CHECK(pixels > 0 && fps > 0);
  if (options_.max_load <= 0) return {.accepted = true};
  Leave(device);
  const double wanted = std::min(options_.keyframe_fps, fps);
  double rate = wanted;
  if (measured()) {
    double left = std::max(options_.max_load - load(), 0.0) / Seconds(pixels);
    const double least = std::min(options_.min_keyframe_fps, rate);
    // Only keyframes correct the measured cost, so there must always be somebody who sends some.
    if (granted_.empty()) left = std::max(left, least);
    if (left < least) {
      return {.reason = fmt::format("this server is full: {} devices take {:.0f} % of its time, "
                                    "which leaves {:.2g} keyframes/s of the {:.2g} that it gives "
                                    "at least; connect to another one, or later",
                                    granted_.size(), 100 * load(), left, least)};
    }
    rate = std::min(rate, left);
  }
  granted_[device] = {pixels, wanted, rate};
  return {.accepted = true, .max_keyframe_fps = rate};
}

double Admission::Rate(int64_t device) {
  const auto found = granted_.find(device);
  if (found == granted_.end()) return 0;
  Grant& grant = found->second;
  if (!measured()) return grant.keyframe_fps;
  // Half of what is left at a time: devices that are answered in turn share it.
  const double room = (kRaisedLoad * options_.max_load - load()) / 2 / Seconds(grant.pixels);
  const double rate = std::min(grant.wanted_fps, grant.keyframe_fps + room);
  if (rate >= kLeastRaise * grant.keyframe_fps) grant.keyframe_fps = rate;
  return grant.keyframe_fps;
}

void Admission::OnKeyframe(int64_t pixels, double busy_ms) {
  STAC_CHECK(pixels > 0);
  double now = std::max(busy_ms, 1e-3) * 1e3 / static_cast<double>(std::max(pixels, kLeastPixels));
  if (measured()) now = std::min(now, kLargestFactor * us_per_pixel_);
  const double weight = std::max(kMemory, 1 / static_cast<double>(++keyframes_));
  us_per_pixel_ += weight * (now - us_per_pixel_);
}

}  // namespace stac
