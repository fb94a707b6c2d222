#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "stac/base/clock.h"
#include "stac/base/result.h"
#include "stac/capture/frame_scale.h"
#include "stac/codec/video_encoder.h"
#include "stac/device/keyframe_planner.h"
#include "stac/device/keyframe_schedule.h"
#include "stac/flow/optical_flow.h"
#include "stac/propagate/block_motion.h"
#include "stac/propagate/motion_chain.h"
#include "stac/quant/profile.h"
#include "stac/video/frame.h"
#include "stac/video/maps.h"
#include "stac/wire/messages.h"

namespace stac {

struct DeviceOptions {
  std::string name = "camera";
  int width = 0;  // of the camera's frames; they may be coded smaller (Configuration::scale)
  int height = 0;
  double fps = 15;
  ColorSpec color;
  // Labels are wanted by the server: propagated ones travel upstream.
  bool server_consumes = false;
  // Labels are wanted by nobody else: those that come down are coarse and only good for telling how
  // labels move.
  bool coarse_labels = false;
  bool propagate_labels = true;  // false: hold the last labels as they are (baselines)
  bool propagate_levels = true;  // false: use the last levels where they were
  bool refine_residual = false;  // adjust levels to the residual, eq. (7)
  PlannerOptions planner;        // its codec is filled in
  ScheduleOptions schedule;
  std::string matrices = "profile";  // profile, jvt or flat
  EncoderOptions encoder;            // size, rate, colour, mode and matrices are filled in
  std::optional<Profile> profile;    // expected; none: use the one the server sends
  bool hash_reconstruction = false;  // debug: the server compares its decoder's state
};

// A keyframe on its way to the encoder. Self-contained: encoding may happen on another thread.
struct KeyframeJob {
  Frame frame;      // at the size at which it is coded
  QpMap qp;         // of its macroblocks; empty when the encoder decides (not RateMode::kQpMap)
  LevelMap levels;  // as planned, of the regions of the full size; for logs and pictures
  bool force_idr = false;
  FrameId held = 0;
};

// Labels of an answer on their way to being decoded. Self-contained: that may happen on another
// thread.
struct LabelsJob {
  Labels message;
  int width = 0;
  int height = 0;
  std::shared_ptr<const LabelMap> previous;  // what they were coded against; null: nothing
};
Result<LabelMap> DecodeLabels(const LabelsJob& job);

// What the session knows about one finished round trip.
struct FeedbackReport {
  FrameId frame = 0;
  double latency_ms = 0;  // OnFrame to labels absorbed; 0: there are none (server.dropped, error)
  size_t bytes = 0;       // of levels and labels
  double absorb_ms = 0;   // decoding them here
  ServerStats server;
};

// What one frame took, wall time.
struct FrameStages {
  double flow_ms = 0;   // motion since the frame before
  double chain_ms = 0;  // composing it with what is held
  double map_ms = 0;    // labels moved to the frame
};

// The device's side of a session (section V): carries labels to every frame and levels to every
// keyframe along the optical flow, plans keyframes, absorbs feedback. A stepped object without
// threads: the caller brings frames, time and messages. Not thread-safe, except that Encode may
// run on one other thread while the rest goes on.
//
// Frames, flow, labels and levels are at the camera's size. What is coded may be smaller: a
// configuration's scale holds from the next keyframe on, which is reduced when it is planned and
// an IDR if the size is another than the last one's, since references of another size are useless.
// Labels go on across the change; only the encoder is opened anew (in Encode, by the job's size).
class DeviceSession {
 public:
  using EncoderFactory =
      std::function<Result<std::unique_ptr<VideoEncoder>>(const EncoderOptions&)>;

  DeviceSession(DeviceOptions options, std::unique_ptr<OpticalFlow> flow, EncoderFactory encoders,
                const Clock* clock);
  ~DeviceSession();

  // --- connecting ---
  // Opens an encoder for a moment, as OnWelcome does it, but without the profile's matrices:
  // settings that no server can help with are errors before there is one.
  Status CheckEncoder() const;
  Hello MakeHello() const;
  // Checks the answer and builds the encoder. Fails if refused or if the profile does not fit.
  Status OnWelcome(const Welcome& welcome);
  // The link is gone: outstanding keyframes are forgotten, the next one will be an IDR. Labels go
  // on being propagated.
  void OnDisconnected();
  bool connected() const { return connected_; }

  // --- every frame ---
  // Advances to `frame` (ids must increase; skipped frames have theirs): flow, then labels of this
  // frame from the newest feedback. The result is empty until the first feedback arrives.
  const LabelMap& OnFrame(const Frame& frame);
  // Labels of the current frame after whatever feedback has been absorbed since OnFrame.
  const LabelMap& labels();
  // Changes FlowOptions::grid from the next frame on.
  void SetFlowGrid(int grid) { flow_->SetGrid(grid); }
  // Of the current frame.
  const FrameStages& stages() const { return stages_; }
  // Frames since the keyframe that the current labels come from; nullopt without labels.
  std::optional<int> label_age() const;
  std::optional<FrameId> label_source() const;

  // --- keyframes ---
  // Keyframes that were not answered in time count as lost from now on.
  void ExpireUnanswered();
  // Whether the schedule and the window of unanswered keyframes allow the current frame to become a
  // keyframe, after ExpireUnanswered.
  bool KeyframeDue();
  // Plans the current frame as a keyframe if one is due. `wanted_qp` (a QP per macroblock of
  // coded_size()) replaces the propagated levels (baselines).
  std::optional<KeyframeJob> PlanKeyframe(const Grid<float>* wanted_qp = nullptr);
  // At which the next keyframe will be coded.
  Size coded_size() const { return CodedSize(full_size(), configuration_.scale); }
  // Codes a planned keyframe. One at a time, in the order planned. Fails on frames of a size that
  // the encoder cannot be opened at, and where coding fails: the keyframe is lost then.
  Result<EncodedFrame> Encode(const KeyframeJob& job);
  // The message that carries a coded keyframe.
  CodedFrame MakeMessage(const KeyframeJob& job, EncodedFrame coded);
  // The keyframe was planned over this connection, and was neither answered nor given up since.
  bool Awaits(FrameId frame) const { return awaited_.contains(frame); }
  // A planned keyframe did not get out: the next one must be an IDR.
  void OnKeyframeLost(FrameId frame);
  // The link has dropped messages: no unanswered keyframe is certain to arrive any more.
  void OnMessagesExpired();

  // --- messages ---
  // Absorbs Levels, Labels, ServerStats or Bye. Feedback for a frame that is no longer known is
  // ignored. A complete round trip is reported.
  Result<std::optional<FeedbackReport>> OnMessage(const Message& message);
  // The same for Labels in two steps, with DecodeLabels between them, which takes too long to keep
  // a frame waiting. nullopt: the frame is no longer known. Messages of the same connection must
  // come in their order, so none may be absorbed between the two steps. After OnDisconnected the
  // second one does nothing.
  Result<std::optional<LabelsJob>> BeginLabels(Labels message);
  Status FinishLabels(const LabelsJob& job, Result<LabelMap> labels, double decode_ms);
  // Server-consumer mode: what the server needs for the labels of the current frame. That is
  // their motion (PropagatedMotion) where it answered the keyframe they come from, otherwise the
  // labels (PropagatedLabels). nullopt: no labels yet, or nobody to send them to.
  Result<std::optional<Message>> MakeUpstreamLabels();

  // --- configuration ---
  // A keyframe rate above the server's limit (Welcome, ServerStats) is lowered to it. The scale is
  // in 0.25..1.
  // To be called before OnWelcome too, where the first keyframe is not at full size.
  void Configure(const Configuration& configuration);
  const Configuration& configuration() const { return configuration_; }
  const Profile& profile() const { return profile_; }
  int class_count() const { return class_count_; }
  int unanswered() const { return schedule_.unanswered(); }
  const RegionGrid& regions() const { return planner_.regions(); }

 private:
  struct Feedback {  // what is known about one keyframe
    FrameId frame = 0;
    std::shared_ptr<const LabelMap> labels;  // null: not there yet
    LevelMap levels;
    bool levels_of_server = true;  // false: our own, carried along
    double base_qp = 0;
    size_t bytes = 0;
    double absorb_ms = 0;
    bool at_server = true;  // answered in this connection: the server has it too
  };
  struct Awaited {  // a keyframe that is not answered yet
    Micros captured = 0;
    LevelMap levels;  // as they were carried to it; empty: none
    double base_qp = 0;
  };
  // The last motion sent upstream, which the next one is coded against.
  struct SentMotion {
    FrameId frame = 0;
    FrameId anchor = 0;
    BlockMotion motion;
  };

  const Feedback* newest() const { return known_.empty() ? nullptr : &known_.back(); }
  const Feedback* FindKnown(FrameId frame) const;
  Feedback* Arriving(FrameId frame);
  void AdoptArrivingIfComplete();
  Status OnLevels(const Levels& message);
  Status KeepLevels(FrameId frame, Feedback& feedback) const;
  Status OnLabels(const Labels& message);
  void Forget(FrameId frame);  // no labels will come for this keyframe
  std::optional<FeedbackReport> OnStats(const ServerStats& stats);
  LevelMap LevelsInNow() const;
  LevelMap Refined(const LevelMap& levels, const Frame& coded);
  Size full_size() const { return {options_.width, options_.height}; }
  EncoderOptions EncoderSettings() const;
  Status OpenEncoder(Size size);

  DeviceOptions options_;
  std::unique_ptr<OpticalFlow> flow_;
  EncoderFactory encoders_;
  const Clock* clock_;

  bool connected_ = false;
  bool need_idr_ = true;
  Configuration configuration_;
  Profile profile_;
  int class_count_ = 0;
  double max_keyframe_fps_ = 0;  // the server's limit; 0: none
  ScalingMatrices matrices_{};
  Size planned_size_;  // of the last keyframe that was planned
  // Encode and OnWelcome both open encoders.
  std::mutex encoder_mutex_;
  EncoderOptions encoder_options_;  // of encoder_, its size included
  std::unique_ptr<VideoEncoder> encoder_;
  KeyframePlanner planner_;
  KeyframeSchedule schedule_;

  Frame frame_;
  Micros frame_at_ = 0;  // when it came
  FlowField then_from_now_;
  FrameStages stages_;
  // For eq. (7): the last keyframe as the server has it (as it was coded: maybe smaller), and the
  // levels it was coded at.
  Frame last_reconstruction_;
  LevelMap last_refined_;
  MotionChain chain_;
  std::deque<Feedback> known_;  // complete feedback, newest last; references for predictive coding
  Feedback arriving_;           // levels there, labels not yet (or the other way round)
  LabelMap labels_;
  bool labels_current_ = false;
  std::map<FrameId, Awaited> awaited_;
  std::optional<SentMotion> sent_motion_;
};

}  // namespace stac
