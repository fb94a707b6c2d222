#pragma once

#include <cstdint>
#include <string>
#include <variant>

#include "stac/base/bytes.h"
#include "stac/base/result.h"
#include "stac/video/frame.h"

namespace stac {

// What device and server say to each other. Bytes inside a message (access units, coded maps,
// profiles) are opaque here; their own decoders check them.
inline constexpr uint32_t kProtocolVersion = 1;

// device -> server, first message.
struct Hello {
  uint32_t version = kProtocolVersion;
  std::string device;         // at most 64 characters
  int width = 0;
  int height = 0;
  double fps = 0;
  ColorSpec color;
  std::string profile_hash;   // empty: "send me yours"
  bool server_consumes = false;  // propagated labels will be sent upstream
  int region_size = 16;
};
// server -> device, the answer.
struct Welcome {
  uint32_t version = kProtocolVersion;
  bool accepted = false;
  std::string reason;         // why not
  std::string network;
  int class_count = 0;
  std::string profile_json;   // the profile in force
  double max_keyframe_fps = 0;  // 0: no limit
};
// device -> server.
struct CodedFrame {
  FrameId frame = 0;
  Micros capture_time = 0;    // device clock
  bool idr = false;
  Bytes access_unit;
  uint64_t reconstruction_hash = 0;  // 0: not given (debug mode)
  // The newest frame whose levels and labels the device holds, for predictive coding of the
  // feedback; equal to `frame`: none.
  FrameId held = 0;
};
// device -> server, server-consumer mode: labels of a frame that both sides did not segment.
struct PropagatedLabels {
  FrameId frame = 0;
  FrameId anchor = 0;         // the keyframe they come from
  FrameId previous = 0;       // frame whose map the coding refers to; equal to `frame`: none
  Bytes coded;
};
// server -> device; all tagged with the frame they belong to.
struct Levels {
  FrameId frame = 0;
  FrameId previous = 0;       // map the coding refers to; equal to `frame`: none
  double base_qp = 0;         // what Configuration asked for when they were computed, as a QP
  Bytes coded;
};
struct Labels {
  FrameId frame = 0;
  FrameId previous = 0;       // as above
  Bytes coded;
};
struct ServerStats {
  FrameId frame = 0;
  double processing_ms = 0;   // decode to reply
  double decode_ms = 0;
  double forward_ms = 0;
  double gradient_ms = 0;
  int queue = 0;              // keyframes waiting, all devices
  std::string error;          // not empty: the frame could not be used; send an IDR
};
// device -> server: what the server should do from now on.
struct Configuration {
  double budget = 0;          // B, allowed loss increment (0: use base_qp)
  double base_qp = 30;
  double keyframe_fps = 0;
};
struct Bye {
  std::string reason;
};

using Message = std::variant<Hello, Welcome, CodedFrame, PropagatedLabels, Levels, Labels,
                             ServerStats, Configuration, Bye>;

Bytes Serialize(const Message& message);
// Untrusted input: sizes, counts and ranges are checked. Unknown kinds and versions are errors.
Result<Message> Parse(ByteSpan bytes);

}  // namespace stac
