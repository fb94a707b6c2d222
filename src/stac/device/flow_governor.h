#pragma once

namespace stac {

struct FlowGovernorOptions {
  int finest = 4;  // pixels between matched patches: powers of two
  int coarsest = 16;
  // Shares of the time between two frames that motion and labels may take: above `most` the grid
  // becomes coarser, and finer only where it would then stay below `comfortable`.
  double most = 0.7;
  double comfortable = 0.6;
};

// Chooses the grid of the optical flow by the time that is left ("as required", section V-A):
// coarser as soon as frames are late or take too long, finer after a calm while. A step finer that
// fails is tried again only after twice as long. Fed with times, so deterministic; not thread-safe.
class FlowGovernor {
 public:
  // Starts at the finest grid.
  FlowGovernor(const FlowGovernorOptions& options, double frame_interval_ms);

  // One frame: what its flow took and what the rest of the way to its labels, which no grid
  // changes, and how late its labels were beyond the time of the next frame (not above 0: in
  // time). Returns the grid for the next frame.
  int OnFrame(double flow_ms, double rest_ms, double late_ms);
  int grid() const { return grid_; }

 private:
  void Become(int grid);

  FlowGovernorOptions options_;
  double interval_ms_;
  int grid_;
  int frames_at_grid_ = 0;
  int slow_frames_ = 0;
  double mean_flow_ms_ = 0;
  double mean_rest_ms_ = 0;
  int patience_;  // calm frames before a finer grid is tried
};

}  // namespace stac
