#pragma once

#include <cstdint>
#include <string>
#include <variant>

#include "stac/base/bytes.h"
#include "stac/base/result.h"
#include "stac/video/frame.h"
#include "stac/video/video_codec.h"

namespace stac {

// What device and server say to each other. Bytes inside a message (access units, coded maps,
// profiles) are opaque here; their own decoders check them. Every text is clean UTF-8: no control
// characters (line breaks and tabs are allowed in profile_json).
inline constexpr uint32_t kProtocolVersion = 2;

// Limits that Parse() enforces; Validate() states them one by one.
inline constexpr size_t kMaxNameCharacters = 64;
inline constexpr size_t kMaxTextCharacters = 1024;  // reasons and errors
inline constexpr size_t kMaxProfileBytes = 1u << 20;
inline constexpr size_t kMaxPayloadBytes = (16u << 20) - 4096;  // an access unit or a coded map
inline constexpr int kMaxClassCount = 255;
inline constexpr double kMaxFps = 1000;

// device -> server, first message.
struct Hello {
  uint32_t version = kProtocolVersion;
  std::string device;  // 1..64 characters
  int width = 0;       // of the camera's frames and of all maps; even, 16..16384
  int height = 0;
  double fps = 0;  // > 0
  ColorSpec color;
  VideoCodec codec = VideoCodec::kH264;  // of every CodedFrame
  std::string profile_hash;              // 1..64 hexadecimal digits; empty: "send me yours"
  bool server_consumes = false;          // propagated labels will be sent upstream
  bool coarse_labels = false;            // labels are needed only to tell how they move
  int region_size = 16;                  // a multiple of 16, up to 1024
  friend bool operator==(const Hello&, const Hello&) = default;
};
// server -> device, the answer.
struct Welcome {
  uint32_t version = kProtocolVersion;
  bool accepted = false;
  std::string reason;           // why not
  std::string network;          // at most 64 characters
  int class_count = 0;          // 1..255; 0 only in a refusal
  std::string profile_json;     // the profile in force
  double max_keyframe_fps = 0;  // 0: no limit
  friend bool operator==(const Welcome&, const Welcome&) = default;
};
// device -> server.
struct CodedFrame {
  FrameId frame = 0;
  Micros capture_time = 0;  // device clock, within +-2^60
  bool idr = false;
  // Not empty. The picture may be smaller than announced: between a quarter and the full width and
  // height, in their proportion (IsCodedSize, capture/frame_scale.h).
  Bytes access_unit;
  uint64_t reconstruction_hash = 0;  // 0: not given (debug mode)
  // The newest frame whose levels and labels the device holds, for predictive coding of the
  // feedback; not after `frame`; equal to it: none.
  FrameId held = 0;
  friend bool operator==(const CodedFrame&, const CodedFrame&) = default;
};
// device -> server, server-consumer mode: labels of a frame, where the server does not have those
// of the keyframe they come from.
struct PropagatedLabels {
  FrameId frame = 0;
  FrameId anchor = 0;  // the keyframe they come from, not after `frame`
  Bytes coded;
  friend bool operator==(const PropagatedLabels&, const PropagatedLabels&) = default;
};
// server -> device; all tagged with the frame they belong to.
struct Levels {
  FrameId frame = 0;
  FrameId previous = 0;  // map the coding refers to, not after `frame`; equal to it: none
  double base_qp = 30;   // the one in force when they were computed
  // Empty: none were computed for this frame (ServerOptions::gradient_every); the device goes on
  // with those that it carried along to plan it, and later maps do not refer to them.
  Bytes coded;
  friend bool operator==(const Levels&, const Levels&) = default;
};
struct Labels {
  FrameId frame = 0;
  FrameId previous = 0;  // map the coding refers to, not after `frame`; equal to it: none
  Bytes coded;
  friend bool operator==(const Labels&, const Labels&) = default;
};
struct ServerStats {
  FrameId frame = 0;
  double processing_ms = 0;  // decode to reply
  double decode_ms = 0;
  double forward_ms = 0;  // 0: the network never saw the keyframe
  double gradient_ms = 0;
  int queue = 0;      // keyframes waiting, all devices
  std::string error;  // not empty: the frame could not be used
  // The keyframe rate that is granted by now, in place of Welcome's; 0: as before.
  double max_keyframe_fps = 0;
  // The frame was not decoded, so those after it cannot be either, up to an IDR.
  bool needs_idr() const { return !error.empty() && decode_ms == 0; }
  // Answered without labels, because newer keyframes came while too many were waiting. It was
  // decoded, and older ones may still be answered with labels.
  bool dropped() const { return error.empty() && forward_ms == 0; }
  friend bool operator==(const ServerStats&, const ServerStats&) = default;
};
// device -> server: what the server should do from now on.
struct Configuration {
  // The QP of a macroblock of average sensitivity: the paper's B in other units (quant/budget.h).
  // -20..71: levels far from the average still reach both ends of the QP range.
  double base_qp = 30;
  double keyframe_fps = 0;
  // At which keyframes are coded, of the width and height that were announced: 0.25..1. For the
  // record: each picture carries its own size.
  double scale = 1;
  friend bool operator==(const Configuration&, const Configuration&) = default;
};
struct Bye {
  std::string reason;
  friend bool operator==(const Bye&, const Bye&) = default;
};

// device -> server, server-consumer mode: how the labels of a keyframe that the server answered
// have moved since. The server finds the frame's labels with it.
struct PropagatedMotion {
  FrameId frame = 0;
  FrameId anchor = 0;    // that keyframe, not after `frame`
  FrameId previous = 0;  // the motion since `anchor` that the coding refers to; `frame`: none
  Bytes coded;           // codec/motion_coder.h; empty: nothing moved
  friend bool operator==(const PropagatedMotion&, const PropagatedMotion&) = default;
};

using Message = std::variant<Hello, Welcome, CodedFrame, PropagatedLabels, Levels, Labels,
                             ServerStats, Configuration, Bye, PropagatedMotion>;

// What the kind is called in messages to the user, for example "coded frame".
const char* KindName(const Message& message);

// The first limit that the message breaks, in one sentence. The version is not looked at.
Status Validate(const Message& message);

// The message must be valid (checked). Reasons, errors and a network's name are for people: they
// are cleaned and cut to their limit rather than checked.
Bytes Serialize(const Message& message);

// Untrusted input: sizes, counts and ranges are checked. Unknown kinds and versions are errors; the
// error names both versions, so any answer to a message of another version tells its sender.
Result<Message> Parse(ByteSpan bytes);

}  // namespace stac
