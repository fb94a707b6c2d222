#pragma once

#include <filesystem>
#include <memory>
#include <string_view>
#include <vector>

#include "stac/base/result.h"

namespace stac {

struct ControlDecision {
  double base_qp = 30;
  double keyframe_fps = 0;
  double scale = 1;  // width and height of what is coded, against the source
  friend bool operator==(const ControlDecision&, const ControlDecision&) = default;
};

// What is known at the start of a segment (a second) about the one before and the network.
struct ControlInput {
  double last_kbps = 0;       // Bit_{t-1}: what was sent
  double bandwidth_kbps = 0;  // estimate for the coming segment; 0: unknown
  double last_base_qp = 30;   // B_{t-1} in QP: B doubles every 6
  double last_keyframe_fps = 0;
  double last_scale = 1;
  double c = 0;  // content_metrics.h, averages of the last segment
  double d = 0;

  // Tells of a segment in which `keyframe_fps` (> 0) keyframes a second were sent with `decision`
  // and took `kbps`: what the decided rate would have taken, since the controller did not plan with
  // spare keyframes (device/send_gate.h), and since it would ask for ever fewer and larger ones if
  // those that the link had no room for (`held_back`) counted as not wanted. A rate that stayed
  // below for other reasons, such as a busy server, counts as it was.
  void SetSent(const ControlDecision& decision, double keyframe_fps, double kbps, bool held_back);
};

struct ControlLimits {
  double min_base_qp = 10;
  double max_base_qp = 51;
  double min_keyframe_fps = 0.5;
  double max_keyframe_fps = 30;
  double min_scale = 0.25;
};
ControlDecision Clamp(const ControlDecision& decision, const ControlLimits& limits);

// Chooses the configuration of the coming segment. Not thread-safe.
class Controller {
 public:
  virtual ~Controller() = default;
  virtual ControlDecision Decide(const ControlInput& input) = 0;
};

// One measured configuration.
struct ProfileRow {
  ControlDecision configuration;
  double accuracy = 0;  // 0..1
  double kbps = 0;
};

// The rows that no other row beats: without a row of at least the accuracy at at most the bitrate
// (of equal rows one is kept). Sorted by bitrate, so by accuracy too.
std::vector<ProfileRow> ParetoRows(std::vector<ProfileRow> rows);

// CSV with the header base_qp,keyframe_fps,scale,accuracy,kbps. Untrusted: errors name the line.
Result<std::vector<ProfileRow>> ParseProfileTable(std::string_view csv);

// The usual practice without content metrics: an offline accuracy-bitrate profile (section VIII-C,
// used for AccMPEG, GRACE+ and STAC-offline). Takes the most accurate row that needs at most
// `share` of the bandwidth, or the cheapest one if none does; keeps the last configuration while
// the bandwidth is unknown. `rows`: at least one.
std::unique_ptr<Controller> MakeProfileTableController(std::vector<ProfileRow> rows,
                                                       double share = 1.0);

}  // namespace stac
