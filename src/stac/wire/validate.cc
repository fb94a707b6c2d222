#include <cctype>
#include <cmath>
#include <string_view>

#include "stac/capture/frame_scale.h"
#include "stac/wire/messages.h"
#include "stac/wire/text_internal.h"

namespace stac {
namespace {

constexpr int kMinSize = 16;
constexpr int kMaxSize = 16384;
constexpr int kMaxRegionSize = 1024;
constexpr double kMaxMilliseconds = 1e9;
constexpr int kMaxQueue = 1'000'000;
constexpr double kMinBaseQp = -20;
constexpr double kMaxBaseQp = 71;
// Differences of two such times do not overflow.
constexpr Micros kMaxTime = Micros{1} << 60;

// NaN fails every comparison, so it is refused too.
Status CheckRange(double value, double low, double high, std::string_view what) {
  if (value >= low && value <= high) return OkStatus();
  return Fail("{} is {}, outside {}..{}", what, value, low, high);
}

Status CheckPayload(const Bytes& bytes, std::string_view what) {
  if (bytes.empty()) return Fail("{} is empty", what);
  if (bytes.size() > kMaxPayloadBytes) {
    return Fail("{} has {} bytes, more than the {} allowed", what, bytes.size(), kMaxPayloadBytes);
  }
  return OkStatus();
}

Status CheckSize(int size, std::string_view what) {
  if (size >= kMinSize && size <= kMaxSize && size % 2 == 0) return OkStatus();
  return Fail("{} is {}; it must be even and within {}..{}", what, size, kMinSize, kMaxSize);
}

Status CheckNotAfter(FrameId earlier, FrameId frame, std::string_view what) {
  if (earlier <= frame) return OkStatus();
  return Fail("{} {} comes after frame {}", what, earlier, frame);
}

Status Check(const Hello& hello) {
  if (hello.device.empty()) return Fail("the device has no name");
  STAC_RETURN_IF_ERROR(CheckText(hello.device, "the device name", kMaxNameCharacters));
  STAC_RETURN_IF_ERROR(CheckSize(hello.width, "the width"));
  STAC_RETURN_IF_ERROR(CheckSize(hello.height, "the height"));
  STAC_RETURN_IF_ERROR(CheckRange(hello.fps, 1e-3, kMaxFps, "the frame rate"));
  if (hello.profile_hash.size() > 64) return Fail("the profile hash is longer than 64 digits");
  for (const char digit : hello.profile_hash) {
    if (!std::isxdigit(static_cast<unsigned char>(digit))) {
      return Fail("the profile hash is not hexadecimal");
    }
  }
  if (hello.region_size < 16 || hello.region_size > kMaxRegionSize || hello.region_size % 16 != 0) {
    return Fail("the region size is {}; it must be a multiple of 16 up to {}", hello.region_size,
                kMaxRegionSize);
  }
  return OkStatus();
}

Status Check(const Welcome& welcome) {
  STAC_RETURN_IF_ERROR(CheckText(welcome.reason, "the reason", kMaxTextCharacters));
  STAC_RETURN_IF_ERROR(CheckText(welcome.network, "the network's name", kMaxNameCharacters));
  if (welcome.class_count < (welcome.accepted ? 1 : 0) || welcome.class_count > kMaxClassCount) {
    return Fail("the class count is {}, outside 1..{}", welcome.class_count, kMaxClassCount);
  }
  if (welcome.profile_json.size() > kMaxProfileBytes) {
    return Fail("the profile has {} bytes, more than the {} allowed", welcome.profile_json.size(),
                kMaxProfileBytes);
  }
  STAC_RETURN_IF_ERROR(CheckText(welcome.profile_json, "the profile", kMaxProfileBytes, true));
  return CheckRange(welcome.max_keyframe_fps, 0, kMaxFps, "the keyframe rate limit");
}

Status Check(const CodedFrame& frame) {
  if (frame.capture_time < -kMaxTime || frame.capture_time > kMaxTime) {
    return Fail("the capture time {} is out of range", frame.capture_time);
  }
  STAC_RETURN_IF_ERROR(CheckNotAfter(frame.held, frame.frame, "the held frame"));
  return CheckPayload(frame.access_unit, "the access unit");
}

Status Check(const PropagatedLabels& labels) {
  STAC_RETURN_IF_ERROR(CheckNotAfter(labels.anchor, labels.frame, "the anchor"));
  return CheckPayload(labels.coded, "the label map");
}

Status Check(const PropagatedMotion& motion) {
  STAC_RETURN_IF_ERROR(CheckNotAfter(motion.anchor, motion.frame, "the anchor"));
  STAC_RETURN_IF_ERROR(CheckNotAfter(motion.previous, motion.frame, "the reference"));
  if (motion.coded.empty()) return OkStatus();
  return CheckPayload(motion.coded, "the motion");
}

Status Check(const Levels& levels) {
  STAC_RETURN_IF_ERROR(CheckNotAfter(levels.previous, levels.frame, "the reference"));
  STAC_RETURN_IF_ERROR(CheckRange(levels.base_qp, kMinBaseQp, kMaxBaseQp, "the base QP"));
  if (levels.coded.empty()) return OkStatus();  // the device keeps its own
  return CheckPayload(levels.coded, "the level map");
}

Status Check(const Labels& labels) {
  STAC_RETURN_IF_ERROR(CheckNotAfter(labels.previous, labels.frame, "the reference"));
  return CheckPayload(labels.coded, "the label map");
}

Status Check(const ServerStats& stats) {
  STAC_RETURN_IF_ERROR(CheckRange(stats.processing_ms, 0, kMaxMilliseconds, "the processing time"));
  STAC_RETURN_IF_ERROR(CheckRange(stats.decode_ms, 0, kMaxMilliseconds, "the decoding time"));
  STAC_RETURN_IF_ERROR(CheckRange(stats.forward_ms, 0, kMaxMilliseconds, "the forward time"));
  STAC_RETURN_IF_ERROR(CheckRange(stats.gradient_ms, 0, kMaxMilliseconds, "the gradient time"));
  STAC_RETURN_IF_ERROR(CheckRange(stats.queue, 0, kMaxQueue, "the queue length"));
  STAC_RETURN_IF_ERROR(CheckRange(stats.max_keyframe_fps, 0, kMaxFps, "the keyframe rate limit"));
  return CheckText(stats.error, "the error", kMaxTextCharacters);
}

Status Check(const Configuration& configuration) {
  STAC_RETURN_IF_ERROR(CheckRange(configuration.base_qp, kMinBaseQp, kMaxBaseQp, "the base QP"));
  STAC_RETURN_IF_ERROR(CheckRange(configuration.keyframe_fps, 0, kMaxFps, "the keyframe rate"));
  return CheckRange(configuration.scale, kMinScale, 1, "the scale");
}

Status Check(const Bye& bye) { return CheckText(bye.reason, "the reason", kMaxTextCharacters); }

}  // namespace

const char* KindName(const Message& message) {
  static constexpr const char* kNames[] = {
      "hello",  "welcome",          "coded frame",       "propagated labels",
      "levels", "labels",           "server statistics", "configuration",
      "bye",    "propagated motion"};
  static_assert(std::size(kNames) == std::variant_size_v<Message>);
  return kNames[message.index()];
}

Status Validate(const Message& message) {
  const Status status = std::visit([](const auto& kind) { return Check(kind); }, message);
  if (!status) return Fail("{}: {}", KindName(message), status.error().message);
  return OkStatus();
}

}  // namespace stac
