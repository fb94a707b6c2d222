#include "stac/device/flow_governor.h"

#include <algorithm>
#include <bit>

#include "stac/base/check.h"

namespace stac {
namespace {

constexpr double kFactor = 3.5;     // flow at half the grid over that at the grid (optical_flow.h)
constexpr int kSlowFrames = 3;      // in a row, before the grid becomes coarser: one is an accident
constexpr int kFirstPatience = 60;  // frames
constexpr int kMostPatience = 3600;
constexpr double kMemory = 0.1;  // weight of the newest frame in the mean

}  // namespace

FlowGovernor::FlowGovernor(const FlowGovernorOptions& options, double frame_interval_ms)
    : options_(options),
      interval_ms_(frame_interval_ms),
      grid_(options.finest),
      patience_(kFirstPatience) {
  STAC_CHECK(std::has_single_bit(static_cast<unsigned>(options.finest)) &&
             std::has_single_bit(static_cast<unsigned>(options.coarsest)));
  STAC_CHECK(options.finest <= options.coarsest && frame_interval_ms > 0);
}

void FlowGovernor::Become(int grid) {
  grid_ = grid;
  frames_at_grid_ = 0;
  slow_frames_ = 0;
}

int FlowGovernor::OnFrame(double flow_ms, double rest_ms, double late_ms) {
  const double memory = frames_at_grid_ == 0 ? 1 : kMemory;
  mean_flow_ms_ += memory * (flow_ms - mean_flow_ms_);
  mean_rest_ms_ += memory * (rest_ms - mean_rest_ms_);
  ++frames_at_grid_;
  const bool slow = late_ms > 0 || flow_ms + rest_ms > options_.most * interval_ms_;
  slow_frames_ = slow ? slow_frames_ + 1 : 0;
  if (slow_frames_ >= kSlowFrames && grid_ < options_.coarsest) {
    patience_ = std::min(2 * patience_, kMostPatience);
    Become(grid_ * 2);
  } else if (frames_at_grid_ >= patience_ && grid_ > options_.finest &&
             mean_flow_ms_ * kFactor + mean_rest_ms_ < options_.comfortable * interval_ms_) {
    Become(grid_ / 2);
  }
  return grid_;
}

}  // namespace stac
