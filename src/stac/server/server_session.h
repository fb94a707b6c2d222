#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "stac/allocate/rules.h"
#include "stac/allocate/sensitivity.h"
#include "stac/base/clock.h"
#include "stac/base/result.h"
#include "stac/codec/motion_coder.h"
#include "stac/codec/video_decoder.h"
#include "stac/quant/profile.h"
#include "stac/segment/segmenter.h"
#include "stac/wire/messages.h"

namespace stac {

enum class AllocationRule {
  kPower,  // ours: random projections, exponent, clip
  kPaper,  // Algorithm 1 on the fake-label loss, as printed
};

struct ServerOptions {
  AllocationRule rule = AllocationRule::kPower;
  Objective objective;  // kPaper uses the fake-label loss whatever stands here
  PowerRule power;
  SensitivityOptions sensitivity;
  // Labels are coded at a grid of so many pixels (EncodeLabelsAtGrid); 0: LabelGridFor the base QP.
  int label_grid = 0;
  // A gradient is taken on every n-th keyframe of a device, and on each whose device holds no
  // levels of ours. In between devices go on with the levels that they carry along the flow.
  int gradient_every = 1;
  double max_keyframe_fps = 0;  // told to devices; 0: no limit
  int max_width = 4096;
  int max_height = 4096;
  int max_waiting = 2;  // decoded keyframes per device; the oldest is dropped beyond
};

// A decoded keyframe that waits for the network.
struct PendingFrame {
  Frame frame;                  // at the size announced, however small it was coded
  FrameId held = 0;             // newest answer that the device holds; its own id: none
  Configuration configuration;  // in force when it arrived
  Micros arrived = 0;
  double decode_ms = 0;    // with scaling up
  size_t video_bytes = 0;  // of the access unit
};

// What one keyframe led to: replies in sending order, and the maps for logs and pictures.
struct ServerAnswer {
  std::vector<Message> messages;
  LabelMap labels;
  SensitivityMap sensitivity;  // empty: no gradient was taken
  LevelMap levels;             // likewise
  ServerStats stats;
};

// The server's side of one device's session (section IV-B): decode, segment, sensitivity, levels,
// reply. Keyframes may be coded smaller than announced (Configuration::scale); they are scaled up
// when they are decoded, so that all maps are at the full size. A stepped object without threads;
// not thread-safe, except that OnMessage, NextObjective and Answer may run on a thread each (one
// call of each at a time).
class ServerSession {
 public:
  using DecoderFactory =
      std::function<Result<std::unique_ptr<VideoDecoder>>(const DecoderOptions&)>;

  ServerSession(ServerOptions options, Profile profile, NetworkInfo network,
                DecoderFactory decoders, const Clock* clock);
  ~ServerSession();

  // The answer to a Hello; refused devices get accepted = false and a reason.
  Welcome OnHello(const Hello& hello);
  bool accepted() const { return accepted_; }
  const Hello& hello() const { return hello_; }

  // CodedFrame: decodes and queues; Configuration: takes effect from the next answer on;
  // PropagatedLabels, PropagatedMotion: become upstream_labels(); motion that refers to something
  // that got lost is ignored. Returns what must be said at once (an error for a frame that did not
  // decode). Fails on messages that make no sense here.
  Result<std::vector<Message>> OnMessage(const Message& message);

  // The next keyframe to segment, oldest first.
  std::optional<PendingFrame> TakePending();
  int waiting() const { return static_cast<int>(pending_.size()); }
  // Runs the network and the allocation on one keyframe. `queue`: keyframes waiting elsewhere.
  Result<ServerAnswer> Segment(const PendingFrame& pending, Segmenter& segmenter, int queue);
  // The same in steps, for those who run the network themselves. First: what to differentiate for
  // the keyframe taken last; null: nothing this time. Then: the answer from what the network said.
  const Objective* NextObjective(const PendingFrame& pending);
  // What that is, whenever it is something; settled by OnHello.
  const Objective& objective() const { return options_.objective; }
  Result<ServerAnswer> Answer(const PendingFrame& pending, Segmentation segmentation, int queue);

  // Labels of one of the last answers as the device has them: drawn from a coarser grid, where they
  // are coded so. Null: forgotten. Until the next call of Answer, and not beside one.
  const LabelMap* LabelsSent(FrameId frame) const {
    const auto found = sent_.find(frame);
    return found == sent_.end() ? nullptr : &found->second.shown;
  }

  // Newest labels of the device's frames in server-consumer mode.
  const LabelMap* upstream_labels() const { return upstream_.empty() ? nullptr : &upstream_; }
  FrameId upstream_frame() const { return upstream_frame_; }

 private:
  struct Sent {
    LabelMap shown;   // the labels as the device has them
    LabelMap labels;  // in server-consumer mode: as the network gave them
    LevelMap levels;
  };
  Result<std::vector<Message>> OnCodedFrame(const CodedFrame& coded);
  Status OnUpstreamLabels(const PropagatedLabels& labels);
  Status OnUpstreamMotion(const PropagatedMotion& message);
  int LabelGrid(double base_qp) const;
  void ChooseLevels(const Segmentation& segmentation, const Configuration& configuration,
                    ServerAnswer& answer) const;

  ServerOptions options_;
  Profile profile_;
  NetworkInfo network_;
  DecoderFactory decoders_;
  const Clock* clock_;
  bool accepted_ = false;
  Hello hello_;
  RegionGrid regions_;
  Configuration configuration_;
  std::unique_ptr<VideoDecoder> decoder_;
  bool need_idr_ = true;
  std::deque<PendingFrame> pending_;
  int since_gradient_ = 0;  // keyframes
  // The last few answers: references for predictive coding, and what upstream motion moves. The
  // mutex lets OnMessage look up one while Answer adds another.
  std::map<FrameId, Sent> sent_;
  std::mutex sent_mutex_;
  LabelMap upstream_;
  FrameId upstream_frame_ = 0;
  std::optional<BlockMotion> upstream_motion_;  // since upstream_anchor_, of upstream_frame_
  FrameId upstream_anchor_ = 0;
};

}  // namespace stac
