#pragma once

#include <map>
#include <memory>

#include "stac/adapt/controller.h"
#include "stac/adapt/trace.h"
#include "stac/lab/simulation/segment_content.h"
#include "stac/lab/simulation/stream_epoch.h"
#include "stac/lab/simulation/stream_score.h"

namespace stac {

// How long things take, in ms of virtual time.
struct ComputeTimes {
  bool measured = false;  // use this machine's own times instead: not deterministic
  double flow_ms = 5;     // motion and mapping: labels of a frame come this much after it
  double encode_ms = 10;  // and planning
  double decode_ms = 3;
  double forward_ms = 20;
  double gradient_ms = 20;  // stac only
};

struct LinkSettings {
  double delay_ms = 20;  // propagation, one way
  double jitter_ms = 0;
  double loss = 0;  // of packets in both directions, 0..0.5
  double down_kbps = 20'000;
  // The paper's rule: what a new configuration finds unsent is discarded. The next keyframe has to
  // be an IDR then.
  bool discard_unfinished = false;
  // Nothing is coded while more than this is on its way; 0: no limit.
  double max_backlog_ms = 300;
  // Nothing is coded that goes beyond what the second is said to carry (device/send_budget.h).
  bool hold_to_bandwidth = true;
};

struct StreamOptions {
  double seconds = 40;
  ControlDecision start;  // of the first second
  ControlLimits limits;
  bool oracle = true;  // controllers are told what the trace will carry; else the estimate
  ContentKind content = ContentKind::kMetrics;
  ComputeTimes compute;
  LinkSettings link;
  uint64_t seed = 1;  // of jitter and loss
};

// A clip as a stream, at the sizes that were asked for so far. Not thread-safe.
class LoopedClips {
 public:
  LoopedClips(const Clip& clip, const LabTools& tools) : clip_(clip), tools_(tools) {}
  const LoopedClip& At(double scale);

 private:
  const Clip& clip_;
  const LabTools& tools_;
  std::map<double, std::unique_ptr<LoopedClip>> sizes_;
};

// Streams the clip, played forwards and backwards, from the production device session to the
// production server session over a simulated link, in virtual time; the controller chooses a new
// configuration every second. `spec`: IsAdaptive. Deterministic unless times are measured.
Result<StreamResult> RunStream(const SystemSpec& spec, const StreamInputs& inputs,
                               LoopedClips& clips, const Trace& uplink, Controller& controller,
                               const StreamOptions& options, const LabTools& tools);

}  // namespace stac
