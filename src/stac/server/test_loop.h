#pragma once

#include <memory>
#include <vector>

#include "stac/device/device_session.h"
#include "stac/segment/fake_segmenter.h"
#include "stac/server/server_session.h"

namespace stac {

// A device and a server session in lock-step over the serialized messages, on the synthetic
// street with the luma-band segmenter and real codecs: what the tests of the closed loop share.
class TestLoop {
 public:
  static constexpr int kWidth = 320;
  static constexpr int kHeight = 192;
  static constexpr int kClasses = 6;

  explicit TestLoop(DeviceOptions device = {}, ServerOptions server = {});

  // Hello and welcome. The device's error, if it was refused.
  Status Connect();

  struct Step {
    LabelMap labels;  // after the feedback of this frame, if it was a keyframe
    std::optional<KeyframeJob> job;
    Bytes access_unit;
    std::optional<FeedbackReport> report;
  };
  // One frame: propagate, plan, code, send, and (if `answer`) absorb what the server says.
  Step Advance(const Frame& frame, bool answer = true);
  // The device's way to the server and back for one message.
  void ToServer(const Message& message);

  ManualClock clock;
  FakeSegmenter segmenter{kClasses};
  Profile profile;
  std::unique_ptr<DeviceSession> device;
  std::unique_ptr<ServerSession> server;
  std::vector<Message> replies;  // of the last keyframe
  SensitivityMap sensitivity;    // of the last keyframe
  LabelMap found;                // by the network, in the last keyframe
  LevelMap levels;

 private:
  ServerOptions server_options_;
};

// Frames of the synthetic street at TestLoop's size.
std::vector<Frame> Street(int count, bool camera_moves = true);
// Of labels against the fake segmenter's own of the raw frame.
double Accuracy(const LabelMap& labels, const Frame& frame);

}  // namespace stac
