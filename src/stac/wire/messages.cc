#include "stac/wire/messages.h"

#include <limits>
#include <utility>

#include "stac.pb.h"
#include "stac/base/check.h"
#include "stac/wire/text_internal.h"

namespace stac {
namespace {

std::string ToString(const Bytes& bytes) { return std::string(AsText(bytes)); }
Bytes ToBytes(const std::string& text) {
  const ByteSpan span = AsBytes(text);
  return Bytes(span.begin(), span.end());
}

// Numbers beyond int become the largest int, which every range check refuses.
int ToInt(uint32_t value) {
  constexpr uint32_t kMax = std::numeric_limits<int>::max();
  return static_cast<int>(value > kMax ? kMax : value);
}

void Write(const Hello& from, wire::Envelope& envelope) {
  wire::Hello& to = *envelope.mutable_hello();
  to.set_device(from.device);
  to.set_width(static_cast<uint32_t>(from.width));
  to.set_height(static_cast<uint32_t>(from.height));
  to.set_fps(from.fps);
  to.set_color_matrix(from.color.matrix == ColorMatrix::kBt709 ? 1 : 0);
  to.set_color_range(from.color.range == ColorRange::kFull ? 1 : 0);
  to.set_profile_hash(from.profile_hash);
  to.set_server_consumes(from.server_consumes);
  to.set_coarse_labels(from.coarse_labels);
  to.set_region_size(static_cast<uint32_t>(from.region_size));
  to.set_codec(from.codec == VideoCodec::kH265 ? 1 : 0);
}

Result<Message> Read(const wire::Hello& from, uint32_t version) {
  if (from.color_matrix() > 1 || from.color_range() > 1) {
    return Fail("hello: unknown colour matrix {} or range {}", from.color_matrix(),
                from.color_range());
  }
  if (from.codec() > 1) return Fail("hello: unknown codec {}", from.codec());
  Hello to;
  to.version = version;
  to.device = from.device();
  to.width = ToInt(from.width());
  to.height = ToInt(from.height());
  to.fps = from.fps();
  to.color.matrix = from.color_matrix() == 1 ? ColorMatrix::kBt709 : ColorMatrix::kBt601;
  to.color.range = from.color_range() == 1 ? ColorRange::kFull : ColorRange::kLimited;
  to.profile_hash = from.profile_hash();
  to.server_consumes = from.server_consumes();
  to.coarse_labels = from.coarse_labels();
  to.region_size = ToInt(from.region_size());
  to.codec = from.codec() == 1 ? VideoCodec::kH265 : VideoCodec::kH264;
  return to;
}

void Write(const Welcome& from, wire::Envelope& envelope) {
  wire::Welcome& to = *envelope.mutable_welcome();
  to.set_accepted(from.accepted);
  to.set_reason(from.reason);
  to.set_network(from.network);
  to.set_class_count(static_cast<uint32_t>(from.class_count));
  to.set_profile_json(from.profile_json);
  to.set_max_keyframe_fps(from.max_keyframe_fps);
}

Result<Message> Read(const wire::Welcome& from, uint32_t version) {
  Welcome to;
  to.version = version;
  to.accepted = from.accepted();
  to.reason = from.reason();
  to.network = from.network();
  to.class_count = ToInt(from.class_count());
  to.profile_json = from.profile_json();
  to.max_keyframe_fps = from.max_keyframe_fps();
  return to;
}

void Write(const CodedFrame& from, wire::Envelope& envelope) {
  wire::CodedFrame& to = *envelope.mutable_coded_frame();
  to.set_frame(from.frame);
  to.set_capture_time(from.capture_time);
  to.set_idr(from.idr);
  to.set_access_unit(ToString(from.access_unit));
  to.set_reconstruction_hash(from.reconstruction_hash);
  to.set_held(from.held);
}

Result<Message> Read(const wire::CodedFrame& from, uint32_t) {
  return CodedFrame{.frame = from.frame(),
                    .capture_time = from.capture_time(),
                    .idr = from.idr(),
                    .access_unit = ToBytes(from.access_unit()),
                    .reconstruction_hash = from.reconstruction_hash(),
                    .held = from.held()};
}

void Write(const PropagatedLabels& from, wire::Envelope& envelope) {
  wire::PropagatedLabels& to = *envelope.mutable_propagated_labels();
  to.set_frame(from.frame);
  to.set_anchor(from.anchor);
  to.set_coded(ToString(from.coded));
}

Result<Message> Read(const wire::PropagatedLabels& from, uint32_t) {
  return PropagatedLabels{
      .frame = from.frame(), .anchor = from.anchor(), .coded = ToBytes(from.coded())};
}

void Write(const PropagatedMotion& from, wire::Envelope& envelope) {
  wire::PropagatedMotion& to = *envelope.mutable_propagated_motion();
  to.set_frame(from.frame);
  to.set_anchor(from.anchor);
  to.set_previous(from.previous);
  to.set_coded(ToString(from.coded));
}

Result<Message> Read(const wire::PropagatedMotion& from, uint32_t) {
  return PropagatedMotion{.frame = from.frame(),
                          .anchor = from.anchor(),
                          .previous = from.previous(),
                          .coded = ToBytes(from.coded())};
}

void Write(const Levels& from, wire::Envelope& envelope) {
  wire::Levels& to = *envelope.mutable_levels();
  to.set_frame(from.frame);
  to.set_previous(from.previous);
  to.set_base_qp(from.base_qp);
  to.set_coded(ToString(from.coded));
}

Result<Message> Read(const wire::Levels& from, uint32_t) {
  return Levels{.frame = from.frame(),
                .previous = from.previous(),
                .base_qp = from.base_qp(),
                .coded = ToBytes(from.coded())};
}

void Write(const Labels& from, wire::Envelope& envelope) {
  wire::Labels& to = *envelope.mutable_labels();
  to.set_frame(from.frame);
  to.set_previous(from.previous);
  to.set_coded(ToString(from.coded));
}

Result<Message> Read(const wire::Labels& from, uint32_t) {
  return Labels{.frame = from.frame(), .previous = from.previous(), .coded = ToBytes(from.coded())};
}

void Write(const ServerStats& from, wire::Envelope& envelope) {
  wire::ServerStats& to = *envelope.mutable_server_stats();
  to.set_frame(from.frame);
  to.set_processing_ms(from.processing_ms);
  to.set_decode_ms(from.decode_ms);
  to.set_forward_ms(from.forward_ms);
  to.set_gradient_ms(from.gradient_ms);
  to.set_queue(static_cast<uint32_t>(from.queue));
  to.set_error(from.error);
  if (from.max_keyframe_fps > 0) to.set_max_keyframe_fps(from.max_keyframe_fps);
}

Result<Message> Read(const wire::ServerStats& from, uint32_t) {
  return ServerStats{.frame = from.frame(),
                     .processing_ms = from.processing_ms(),
                     .decode_ms = from.decode_ms(),
                     .forward_ms = from.forward_ms(),
                     .gradient_ms = from.gradient_ms(),
                     .queue = ToInt(from.queue()),
                     .error = from.error(),
                     .max_keyframe_fps = from.max_keyframe_fps()};
}

void Write(const Configuration& from, wire::Envelope& envelope) {
  wire::Configuration& to = *envelope.mutable_configuration();
  to.set_base_qp(from.base_qp);
  to.set_keyframe_fps(from.keyframe_fps);
  if (from.scale != 1) to.set_scale(from.scale);
}

Result<Message> Read(const wire::Configuration& from, uint32_t) {
  return Configuration{.base_qp = from.base_qp(),
                       .keyframe_fps = from.keyframe_fps(),
                       .scale = from.has_scale() ? from.scale() : 1};
}

void Write(const Bye& from, wire::Envelope& envelope) {
  envelope.mutable_bye()->set_reason(from.reason);
}

Result<Message> Read(const wire::Bye& from, uint32_t) { return Bye{.reason = from.reason()}; }

Result<Message> ReadKind(const wire::Envelope& envelope) {
  const uint32_t version = envelope.version();
  switch (envelope.kind_case()) {
    case wire::Envelope::kHello:
      return Read(envelope.hello(), version);
    case wire::Envelope::kWelcome:
      return Read(envelope.welcome(), version);
    case wire::Envelope::kCodedFrame:
      return Read(envelope.coded_frame(), version);
    case wire::Envelope::kPropagatedLabels:
      return Read(envelope.propagated_labels(), version);
    case wire::Envelope::kPropagatedMotion:
      return Read(envelope.propagated_motion(), version);
    case wire::Envelope::kLevels:
      return Read(envelope.levels(), version);
    case wire::Envelope::kLabels:
      return Read(envelope.labels(), version);
    case wire::Envelope::kServerStats:
      return Read(envelope.server_stats(), version);
    case wire::Envelope::kConfiguration:
      return Read(envelope.configuration(), version);
    case wire::Envelope::kBye:
      return Read(envelope.bye(), version);
    case wire::Envelope::KIND_NOT_SET:
      break;
  }
  return Fail("message of an unknown kind; update the older side");
}

// Texts written for people never stop the program.
Message WithCleanTexts(Message message) {
  if (auto* welcome = std::get_if<Welcome>(&message)) {
    welcome->reason = CleanText(welcome->reason, kMaxTextCharacters);
    welcome->network = CleanText(welcome->network, kMaxNameCharacters);  // a file's name
  } else if (auto* stats = std::get_if<ServerStats>(&message)) {
    stats->error = CleanText(stats->error, kMaxTextCharacters);
  } else if (auto* bye = std::get_if<Bye>(&message)) {
    bye->reason = CleanText(bye->reason, kMaxTextCharacters);
  }
  return message;
}

uint32_t VersionOf(const Message& message) {
  if (const auto* hello = std::get_if<Hello>(&message)) return hello->version;
  if (const auto* welcome = std::get_if<Welcome>(&message)) return welcome->version;
  return kProtocolVersion;
}

}  // namespace

Bytes Serialize(const Message& message) {
  const Message clean = WithCleanTexts(message);
  if (const Status status = Validate(clean); !status) {
    CheckFailed(__FILE__, __LINE__, status.error().message);
  }
  wire::Envelope envelope;
  envelope.set_version(VersionOf(clean));
  std::visit([&](const auto& kind) { Write(kind, envelope); }, clean);
  Bytes bytes(envelope.ByteSizeLong());
  STAC_CHECK(envelope.SerializeToArray(bytes.data(), static_cast<int>(bytes.size())));
  return bytes;
}

Result<Message> Parse(ByteSpan bytes) {
  constexpr size_t kMaxEnvelopeBytes = kMaxPayloadBytes + 4096;
  if (bytes.size() > kMaxEnvelopeBytes) {
    return Fail("message of {} bytes; at most {} are accepted", bytes.size(), kMaxEnvelopeBytes);
  }
  wire::Envelope envelope;
  if (!envelope.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return Fail("damaged message of {} bytes", bytes.size());
  }
  if (envelope.version() != kProtocolVersion) {
    return Fail("the other side speaks protocol version {}, this one {}; update the older side",
                envelope.version(), kProtocolVersion);
  }
  STAC_ASSIGN_OR_RETURN(Message message, ReadKind(envelope));
  STAC_RETURN_IF_ERROR(Validate(message));
  return message;
}

}  // namespace stac
