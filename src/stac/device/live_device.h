#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "stac/base/clock.h"
#include "stac/base/result.h"
#include "stac/capture/frame_source.h"
#include "stac/device/adaptation.h"
#include "stac/device/device_session.h"
#include "stac/device/flow_governor.h"
#include "stac/transport/link.h"

namespace stac {

struct LiveDeviceOptions {
  Configuration configuration;
  double seconds = 0;  // stop after this much video; 0: at the end of the source
  // Files are played at their own rate; false: as fast as frames are answered, which waits for a
  // server that is away.
  bool pace = true;
  bool keep_trying = false;  // wait for the server at the start instead of failing
  Micros keyframe_ttl = 2'000'000;
  // Chooses the configuration once a second instead of the one above; null: it stays. Borrowed.
  Adaptation* adaptation = nullptr;
  // Chooses the grid of the optical flow by the time left, where frames come at their own rate.
  std::optional<FlowGovernorOptions> flow_governor;
};

// What happened to one captured frame.
struct FrameRecord {
  FrameId frame = 0;
  Micros pts = 0;
  double label_latency_ms = 0;  // captured (or due, for a file that is paced) to labels at hand
  int label_age = -1;           // frames since the keyframe they come from; -1: no labels yet
  double propagate_ms = 0;      // flow and mapping
  FrameStages stages;
  int flow_grid = 0;  // chosen by the governor; 0: without one
  bool keyframe = false;
  int64_t label_bytes = 0;  // sent upstream (server-consumer mode)
};

// What happened to one keyframe that was coded.
struct KeyframeRecord {
  FrameId frame = 0;
  bool idr = false;
  double scale = 1;  // its width as a share of the frame's
  size_t bytes = 0;  // of the access unit
  double mean_qp = 0;
  double plan_ms = 0;  // levels and QP map
  double encode_ms = 0;
  bool sent = false;
};

// Receives results as they come, on the device's own thread: keep it short. Every frame gets one
// OnFrame, with empty labels until the first feedback.
class DeviceSink {
 public:
  virtual ~DeviceSink() = default;
  virtual void OnFrame(const FrameRecord& record, const Frame& frame, const LabelMap& labels) = 0;
  virtual void OnKeyframe(const KeyframeRecord& record, const KeyframeJob& job,
                          ByteSpan access_unit) = 0;
  virtual void OnFeedback(const FeedbackReport& report) = 0;
  virtual void OnDecision(const AdaptationRecord& /*record*/) {}
};

struct DeviceTotals {
  int64_t frames = 0;
  int64_t keyframes = 0;
  int64_t dropped = 0;  // captured but skipped because the device fell behind
  int64_t reconnects = 0;
  int64_t expired = 0;      // messages that the link dropped because they waited for too long
  int64_t errors = 0;       // keyframes that the server could not use
  int64_t video_bytes = 0;  // whole messages, as on the wire
  int64_t label_bytes = 0;
  int64_t feedback_bytes = 0;
  double seconds = 0;  // of video
  Status outcome;      // an error: what ended the run before its time
};

// Runs a device session against a real clock, source and link until the source ends or `stop` is
// set. Threads: the caller's (flow, propagation, planning, messages), one that captures, one that
// encodes, one that decodes the labels of answers, and one that reconnects while the server is
// away; the labels of a frame never wait for the last three. Queues: captured frames (3; a live
// source drops the oldest, a file waits), keyframes to encode (1; while it is full no keyframe is
// planned), labels to decode (1; until they are done, further messages stay in the link).
class LiveDevice {
 public:
  using Connect = std::function<Result<std::unique_ptr<Link>>()>;

  LiveDevice(LiveDeviceOptions options, DeviceSession* session, FrameSource* source,
             Connect connect, DeviceSink* sink);
  ~LiveDevice();

  // Fails if the encoder's settings are refused, or if the server cannot be reached or refuses at
  // the start. What ends a stream later, as a source that breaks, is DeviceTotals::outcome.
  Result<DeviceTotals> Run(const std::atomic<bool>& stop);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace stac
