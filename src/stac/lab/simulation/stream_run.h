#pragma once

#include "stac/adapt/controller.h"
#include "stac/adapt/trace.h"
#include "stac/device/send_gate.h"
#include "stac/lab/simulation/segment_content.h"
#include "stac/lab/simulation/stream_score.h"
#include "stac/lab/simulation/stream_system.h"

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
  // Otherwise keyframes are dropped before they are coded, by the device's own rule.
  SendGateOptions gate;
};

struct StreamOptions {
  double seconds = 40;
  ControlDecision start;  // of the first second
  ControlLimits limits;
  bool oracle = true;  // controllers are told what the trace will carry; else the estimate
  double spare = 1;    // keyframes beyond the decided rate (device/send_gate.h)
  double coarser = 0;  // QP by which a keyframe may be coded coarser than decided (the same)
  ContentKind content = ContentKind::kMetrics;
  ComputeTimes compute;
  LinkSettings link;
  uint64_t seed = 1;  // of jitter and loss
};

// Streams the clip, played forwards and backwards, from the production device session to the
// production server session over a simulated link, in virtual time; the controller chooses a new
// configuration every second. `frames`: the inputs' clip. `spec`: IsAdaptive. Deterministic unless
// times are measured.
Result<StreamResult> RunStream(const SystemSpec& spec, const StreamInputs& inputs,
                               const LoopedClip& frames, const Trace& uplink,
                               Controller& controller, const StreamOptions& options,
                               const LabTools& tools);

}  // namespace stac
