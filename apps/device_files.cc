#include "device_files.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <nlohmann/json.hpp>

#include "stac/base/file.h"
#include "stac/base/progress.h"
#include "stac/capture/image_io.h"

namespace stac {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kWaitingQueue = 64, kSkippingQueue = 1;

double Round(double value, double per_unit = 100) {
  return std::round(value * per_unit) / per_unit;
}

Json Percentiles(const Histogram& values) {
  return {{"p50", Round(values.Percentile(50))},
          {"p95", Round(values.Percentile(95))},
          {"p99", Round(values.Percentile(99))}};
}

std::string Hex(const QpMap& qp) {
  std::string text;
  text.reserve(qp.size() * 2);
  for (const uint8_t value : qp) text += fmt::format("{:02x}", value);
  return text;
}

Status OpenForWriting(std::ofstream& out, const std::string& path) {
  if (path.empty()) return OkStatus();
  const auto parent = std::filesystem::path(path).parent_path();
  if (!parent.empty()) STAC_RETURN_IF_ERROR(MakeFolder(parent));
  out.open(path, std::ios::binary);
  if (!out) return Fail("cannot write {}: check the path and permissions", path);
  return OkStatus();
}

// Whoever reads standard output may stay and take nothing: this waits then, after `stop` for no
// longer than a second.
Status WriteToOutput(ByteSpan bytes, const std::atomic<bool>& stop) {
  while (!bytes.empty()) {
    pollfd output{.fd = STDOUT_FILENO, .events = POLLOUT};
    const int ready = poll(&output, 1, 1000);
    if (ready == 0 && stop) {
      return Fail("labels are missing on standard output: its reader takes no more");
    }
    if (ready == 0 || (ready < 0 && errno == EINTR)) continue;
    // So much is taken by a pipe that is ready without waiting for its reader.
    const size_t chunk = std::min<size_t>(bytes.size(), PIPE_BUF);
    const ssize_t written = write(STDOUT_FILENO, bytes.data(), chunk);
    if (written >= 0) {
      bytes = bytes.subspan(static_cast<size_t>(written));
    } else if (errno != EINTR && errno != EAGAIN) {
      return Fail("cannot write labels to standard output: {}",
                  errno == EPIPE ? "the reader went away" : std::strerror(errno));
    }
  }
  return OkStatus();
}

}  // namespace

DeviceRecorder::DeviceRecorder(const DeviceFiles& files, bool skip_labels, std::atomic<bool>* stop)
    : files_(files),
      skip_labels_(skip_labels),
      stop_(stop),
      queue_(skip_labels ? kSkippingQueue : kWaitingQueue) {}

Result<std::unique_ptr<DeviceRecorder>> DeviceRecorder::Create(const DeviceFiles& files,
                                                               bool real_time,
                                                               std::atomic<bool>* stop) {
  const bool skip_labels = files.labels == "-" && real_time;
  std::unique_ptr<DeviceRecorder> recorder(new DeviceRecorder(files, skip_labels, stop));
#ifdef F_SETPIPE_SZ
  // What lies in a pipe is as old for its reader as what lies in our queue. Not of a pipe: fails.
  if (skip_labels) (void)fcntl(STDOUT_FILENO, F_SETPIPE_SZ, PIPE_BUF);
#endif
  STAC_RETURN_IF_ERROR(OpenForWriting(recorder->stream_, files.stream));
  STAC_RETURN_IF_ERROR(OpenForWriting(recorder->plan_, files.plan));
  STAC_RETURN_IF_ERROR(OpenForWriting(recorder->log_, files.log));
  if (!files.labels.empty() && files.labels != "-") {
    STAC_RETURN_IF_ERROR(MakeFolder(files.labels));
  }
  recorder->writer_ = std::thread([raw = recorder.get()] { raw->WriteLabels(); });
  return recorder;
}

DeviceRecorder::~DeviceRecorder() { (void)Finish(); }

Status DeviceRecorder::WriteOne(const LabelJob& job) const {
  // Frames may be skipped, so that counting them would not tell.
  const PngTexts texts = {{"frame", fmt::format("{}", job.frame)},
                          {"time", fmt::format("{:.6f}", static_cast<double>(job.pts) / 1e6)}};
  if (files_.labels != "-") {
    return WritePng(fmt::format("{}/{:06}.png", files_.labels, job.frame), job.labels, texts);
  }
  STAC_ASSIGN_OR_RETURN(const Bytes png, EncodePng(job.labels, texts));
  ByteWriter out;
  out.U32(static_cast<uint32_t>(png.size()));
  out.Append(png);
  return WriteToOutput(out.bytes(), *stop_);
}

void DeviceRecorder::WriteLabels() {
  while (auto job = queue_.Pop()) {
    if (!write_status_) continue;  // keep draining, so that the device never hangs
    write_status_ = WriteOne(*job);
    if (!write_status_) *stop_ = true;
  }
}

Status DeviceRecorder::Finish() {
  if (writer_.joinable()) {
    queue_.Close();
    writer_.join();
  }
  STAC_RETURN_IF_ERROR(write_status_);
  for (std::ofstream* out : {&stream_, &plan_, &log_}) {
    if (out->is_open() && !out->flush())
      return Fail("a result file could not be written: disk full?");
  }
  return OkStatus();
}

void DeviceRecorder::OnFrame(const FrameRecord& record, const Frame& frame,
                             const LabelMap& labels) {
  label_latency_ms_.Add(record.label_latency_ms);
  propagate_ms_.Add(record.propagate_ms);
  if (record.label_age < 0) ++frames_without_labels_;
  if (!files_.labels.empty()) {
    LabelMap copy = labels.empty() ? LabelMap(frame.width(), frame.height(), kUnlabelled) : labels;
    LabelJob job{record.frame, record.pts, std::move(copy)};
    if (skip_labels_)
      labels_skipped_ += queue_.PushDroppingOldest(std::move(job)).value_or(0);
    else
      queue_.Push(std::move(job));
  }
  if (log_.is_open()) {
    log_ << Json{{"frame", record.frame},
                 {"time", Round(static_cast<double>(record.pts) / 1e6, 1000)},
                 {"keyframe", record.keyframe},
                 {"label_age", record.label_age},
                 {"label_latency_ms", Round(record.label_latency_ms)},
                 {"propagate_ms", Round(record.propagate_ms)},
                 {"label_bytes", record.label_bytes}}
                .dump()
         << '\n';
  }
  ShowStatus(record);
}

void DeviceRecorder::ShowStatus(const FrameRecord& record) {
  if (since_status_.Milliseconds() < 500) return;
  since_status_.Lap();
  const double now = static_cast<double>(record.pts) / 1e6;
  const double kbps = now > last_status_pts_ ? static_cast<double>(status_video_bytes_) * 8e-3 /
                                                   (now - last_status_pts_)
                                             : 0;
  status_video_bytes_ = 0;
  last_status_pts_ = now;
  const bool terminal = isatty(2) == 1;
  ShowOnStderr(fmt::format(
      "{}{:6.1f} s  frame {}  labels {} frames old, {:.1f} ms  video {:.0f} kb/s  keyframes {}{}",
      terminal ? "\r" : "", now, record.frame, record.label_age, record.label_latency_ms, kbps,
      encode_ms_.count(), terminal ? "\x1b[K" : "\n"));
}

void DeviceRecorder::OnKeyframe(const KeyframeRecord& record, const KeyframeJob& job,
                                ByteSpan access_unit) {
  encode_ms_.Add(record.encode_ms);
  plan_ms_.Add(record.plan_ms);
  qp_.Add(record.mean_qp);
  scale_.Add(record.scale);
  status_video_bytes_ += static_cast<int64_t>(record.bytes);
  if (stream_.is_open()) {
    stream_.write(reinterpret_cast<const char*>(access_unit.data()),
                  static_cast<std::streamsize>(access_unit.size()));
  }
  if (plan_.is_open() && !job.qp.empty()) {
    plan_ << Json{{"frame", record.frame},
                  {"idr", record.idr},
                  {"columns", job.qp.width()},
                  {"rows", job.qp.height()},
                  {"qp", Hex(job.qp)}}
                 .dump()
          << '\n';
  }
  if (log_.is_open()) {
    log_ << Json{{"keyframe", record.frame},
                 {"idr", record.idr},
                 {"scale", Round(record.scale, 1000)},
                 {"bytes", record.bytes},
                 {"mean_qp", Round(record.mean_qp)},
                 {"plan_ms", Round(record.plan_ms)},
                 {"encode_ms", Round(record.encode_ms)},
                 {"sent", record.sent}}
                .dump()
         << '\n';
  }
}

void DeviceRecorder::OnFeedback(const FeedbackReport& report) {
  if (report.server.error.empty() && !report.server.dropped()) {
    keyframe_latency_ms_.Add(report.latency_ms);
    decode_ms_.Add(report.server.decode_ms);
    forward_ms_.Add(report.server.forward_ms);
    gradient_ms_.Add(report.server.gradient_ms);
  }
  if (log_.is_open()) {
    log_ << Json{{"feedback", report.frame},     {"latency_ms", Round(report.latency_ms)},
                 {"bytes", report.bytes},        {"server_ms", Round(report.server.processing_ms)},
                 {"queue", report.server.queue}, {"error", report.server.error}}
                .dump()
         << '\n';
  }
}

void DeviceRecorder::OnDecision(const AdaptationRecord& record) {
  ++decisions_;
  estimate_sum_ += record.estimate_kbps;
  wanted_qp_sum_ += record.decision.base_qp;
  wanted_fps_sum_ += record.decision.keyframe_fps;
  wanted_scale_sum_ += record.decision.scale;
  skipped_ += record.skipped;
  if (log_.is_open()) {
    log_ << Json{{"decision", Round(static_cast<double>(record.time) / 1e6, 1000)},
                 {"estimate_kbps", Round(record.estimate_kbps)},
                 {"trusted_kbps", Round(record.trusted_kbps)},
                 {"sent_kbps", Round(record.sent_kbps)},
                 {"label_kbps", Round(record.label_kbps)},
                 {"keyframes", record.keyframes},
                 {"mean_qp", Round(record.mean_qp)},
                 {"skipped", record.skipped},
                 {"stalled", record.stalled},
                 {"c", Round(record.input.c)},
                 {"d", Round(record.input.d)},
                 {"base_qp", Round(record.decision.base_qp)},
                 {"keyframe_fps", Round(record.decision.keyframe_fps)},
                 {"scale", Round(record.decision.scale)}}
                .dump()
         << '\n';
  }
}

std::string DeviceRecorder::Summary(const DeviceTotals& totals, double fps) const {
  const auto kbps = [&](int64_t bytes) {
    return totals.seconds > 0 ? Round(static_cast<double>(bytes) * 8e-3 / totals.seconds) : 0;
  };
  const double decisions = std::max(decisions_, 1);
  return Json{{"frames", totals.frames},
              {"keyframes", totals.keyframes},
              {"fps", Round(fps, 1000)},
              {"seconds", Round(totals.seconds, 1000)},
              {"video_kbps", kbps(totals.video_bytes)},
              {"label_kbps", kbps(totals.label_bytes)},
              {"feedback_kbps", kbps(totals.feedback_bytes)},
              {"mean_qp", Round(qp_.mean())},
              {"mean_scale", Round(scale_.mean(), 1000)},
              {"label_latency_ms", Percentiles(label_latency_ms_)},
              {"keyframe_latency_ms", Percentiles(keyframe_latency_ms_)},
              {"stage_ms",
               {{"propagate", Round(propagate_ms_.mean())},
                {"plan", Round(plan_ms_.mean())},
                {"encode", Round(encode_ms_.mean())},
                {"decode", Round(decode_ms_.mean())},
                {"forward", Round(forward_ms_.mean())},
                {"gradient", Round(gradient_ms_.mean())}}},
              {"frames_without_labels", frames_without_labels_},
              {"labels_skipped", labels_skipped_},
              {"dropped", totals.dropped},
              {"reconnects", totals.reconnects},
              {"expired", totals.expired},
              {"errors", totals.errors},
              {"adaptation",
               {{"decisions", decisions_},
                {"mean_estimate_kbps", Round(estimate_sum_ / decisions)},
                {"mean_base_qp", Round(wanted_qp_sum_ / decisions)},
                {"mean_keyframe_fps", Round(wanted_fps_sum_ / decisions)},
                {"mean_scale", Round(wanted_scale_sum_ / decisions, 1000)},
                {"frames_skipped", skipped_}}}}
      .dump(2);
}

}  // namespace stac
