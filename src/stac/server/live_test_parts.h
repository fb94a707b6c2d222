#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "stac/capture/synthetic_scene.h"
#include "stac/device/live_device.h"
#include "stac/flow/optical_flow.h"
#include "stac/segment/fake_segmenter.h"
#include "stac/server/live_server.h"

// What the tests of live servers and devices share: small frames, a segmenter and a decoder that
// say when they work, and a way for threads to wait for each other.

namespace stac {

inline constexpr int kClasses = 6;

class CountingSink final : public DeviceSink {
 public:
  void OnFrame(const FrameRecord& record, const Frame&, const LabelMap& labels) override {
    frames.push_back(record);
    if (labels.empty()) ++without_labels;
    if (on_frame) on_frame(record);
  }
  void OnKeyframe(const KeyframeRecord& record, const KeyframeJob&, ByteSpan) override {
    keyframes.push_back(record);
  }
  void OnFeedback(const FeedbackReport& report) override { feedback.push_back(report); }

  std::vector<FrameRecord> frames;
  std::vector<KeyframeRecord> keyframes;
  std::vector<FeedbackReport> feedback;
  int without_labels = 0;
  std::function<void(const FrameRecord&)> on_frame;
};

inline std::unique_ptr<DeviceSession> MakeSession(const Clock* clock,
                                                  const ScheduleOptions& schedule = {}) {
  DeviceOptions options;
  options.width = 192;
  options.height = 128;
  options.encoder.preset = "veryfast";
  options.schedule = schedule;
  return std::make_unique<DeviceSession>(options, MakeDisFlow({}), MakeX264Encoder, clock);
}

inline std::unique_ptr<FrameSource> MakeSource(int frames) {
  return MakeSyntheticSource({.width = 192, .height = 128, .fps = 30, .frame_count = frames});
}

// The first frame of MakeSource, coded.
inline Bytes CodedIdr() {
  auto encoder = MakeX264Encoder({.width = 192, .height = 128, .preset = "veryfast"});
  auto frame = MakeSource(1)->Next();
  if (!encoder || !frame || !*frame) return {};
  const QpMap qp(12, 8, 30);
  auto coded = (*encoder)->Encode(**frame, &qp, /*idr=*/true);
  return coded ? std::move(coded->access_unit) : Bytes{};
}

// A link that does what another one does; tests change some of it.
class ForwardingLink : public Link {
 public:
  explicit ForwardingLink(std::unique_ptr<Link> link) : link_(std::move(link)) {}
  Status Send(ByteSpan message, Micros ttl_us) override { return link_->Send(message, ttl_us); }
  Result<std::optional<Bytes>> Receive() override { return link_->Receive(); }
  void Wait(Micros timeout_us) override { link_->Wait(timeout_us); }
  bool up() const override { return link_->up(); }
  LinkStats Stats() const override { return link_->Stats(); }
  void Close() override { link_->Close(); }

 private:
  std::unique_ptr<Link> link_;
};

// A link whose peer acknowledges nothing: closing it takes until `closes`.
class SilentLink final : public ForwardingLink {
 public:
  SilentLink(std::unique_ptr<Link> link, std::function<void()> closes)
      : ForwardingLink(std::move(link)), closes_(std::move(closes)) {}
  void Close() override {
    closes_();
    ForwardingLink::Close();
  }

 private:
  std::function<void()> closes_;
};

// Lets threads wait for each other; gives up after a while, so that a test can fail.
class Signal {
 public:
  void Set() {
    std::lock_guard lock(mutex_);
    set_ = true;
    changed_.notify_all();
  }
  bool Wait() {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(10), [&] { return set_; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool set_ = false;
};

// Calls back before each keyframe is segmented (warming up does not count).
class WatchedSegmenter final : public Segmenter {
 public:
  WatchedSegmenter(FrameId last, std::function<void(FrameId)> before)
      : last_(last), before_(std::move(before)) {}
  const NetworkInfo& info() const override { return fake_.info(); }
  Result<Segmentation> Run(const Frame& frame) override { return fake_.Run(frame); }
  Result<Segmentation> RunWithGradient(const Frame& frame, const Objective& objective) override {
    if (frame.id >= 1 && frame.id <= last_) before_(frame.id);
    return fake_.RunWithGradient(frame, objective);
  }
  std::unique_ptr<Segmenter> Clone() const override {
    return std::make_unique<WatchedSegmenter>(last_, before_);
  }

 private:
  FakeSegmenter fake_{kClasses};
  FrameId last_;
  std::function<void(FrameId)> before_;
};

class WatchedDecoder final : public VideoDecoder {
 public:
  WatchedDecoder(std::unique_ptr<VideoDecoder> decoder, std::function<void()> after)
      : decoder_(std::move(decoder)), after_(std::move(after)) {}
  Result<DecodedFrame> Decode(ByteSpan access_unit) override {
    auto decoded = decoder_->Decode(access_unit);
    after_();
    return decoded;
  }

 private:
  std::unique_ptr<VideoDecoder> decoder_;
  std::function<void()> after_;
};

}  // namespace stac
