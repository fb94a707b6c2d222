#pragma once

#include <atomic>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <thread>

#include "stac/base/bounded_queue.h"
#include "stac/base/result.h"
#include "stac/base/statistics.h"
#include "stac/device/live_device.h"

namespace stac {

// Where a device's results go; empty paths are not written.
struct DeviceFiles {
  std::string labels;  // "-": length-prefixed PNG on standard output; otherwise a folder of PNG
  std::string stream;  // the access units as coded, sent or not
  std::string plan;    // JSON lines: the planned QP of every macroblock of every keyframe
  std::string log;     // JSON lines: every frame, keyframe, round trip and decision
};

// Collects statistics and writes the files. PNG coding happens on a thread of its own, behind a
// queue of 64 frames that makes the device wait when the disk cannot keep up: no frame's labels are
// lost, and where they cannot be written the run ends. Of a stream in real time a reader of
// standard output gets what is new instead: the queue is short, and what he is too slow for is
// skipped.
class DeviceRecorder final : public DeviceSink {
 public:
  // `stop` (borrowed) ends the run: it is set when labels cannot be written. Once it is set, a
  // reader of standard output who takes nothing for a second counts as gone.
  static Result<std::unique_ptr<DeviceRecorder>> Create(const DeviceFiles& files, bool real_time,
                                                        std::atomic<bool>* stop);
  ~DeviceRecorder() override;

  void OnFrame(const FrameRecord& record, const Frame& frame, const LabelMap& labels) override;
  void OnKeyframe(const KeyframeRecord& record, const KeyframeJob& job,
                  ByteSpan access_unit) override;
  void OnFeedback(const FeedbackReport& report) override;
  void OnDecision(const AdaptationRecord& record) override;

  // Waits until everything is written; the first failure to write, if there was one.
  Status Finish();
  // The closing summary as JSON text (keys as in summary.json, without accuracy).
  std::string Summary(const DeviceTotals& totals, double fps) const;

 private:
  struct LabelJob {
    FrameId frame;
    Micros pts;
    LabelMap labels;
  };
  DeviceRecorder(const DeviceFiles& files, bool skip_labels, std::atomic<bool>* stop);
  void WriteLabels();
  Status WriteOne(const LabelJob& job) const;
  void ShowStatus(const FrameRecord& record);

  const DeviceFiles files_;
  const bool skip_labels_;
  std::atomic<bool>* const stop_;
  std::ofstream stream_, plan_, log_;
  BoundedQueue<LabelJob> queue_;
  std::thread writer_;
  Status write_status_;

  // None of these grows: a camera may run for months.
  Histogram label_latency_ms_, keyframe_latency_ms_;
  RunningMean propagate_ms_, plan_ms_, encode_ms_, decode_ms_, forward_ms_, gradient_ms_;
  RunningMean qp_, scale_;
  // Of the adaptation, for its means: seconds, and the sums over them.
  int decisions_ = 0;
  double estimate_sum_ = 0, wanted_qp_sum_ = 0, wanted_fps_sum_ = 0, wanted_scale_sum_ = 0;
  int64_t skipped_ = 0;
  int64_t frames_without_labels_ = 0;
  int64_t labels_skipped_ = 0;
  Stopwatch since_status_;
  int64_t status_video_bytes_ = 0;
  double last_status_pts_ = 0;
};

}  // namespace stac
