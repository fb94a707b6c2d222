#pragma once

#include <cstddef>
#include <optional>

#include "stac/base/bytes.h"
#include "stac/base/result.h"

namespace stac {

// Messages over packets that arrive complete and in order: the first packet of a message starts
// with the message's length (32 bits, little-endian), the others are plain continuation. A packet
// never holds parts of two messages. A length of 0 between messages is no message: such a packet
// only shows the transport whether the ones before it arrived. (Programs before November 2026 end
// the link at one.)
inline constexpr size_t kFragmentHeaderBytes = 4;
inline constexpr uint8_t kEmptyPacket[kFragmentHeaderBytes] = {};

// Cuts one message into packets.
class Fragmenter {
 public:
  explicit Fragmenter(Bytes message) : message_(std::move(message)) {}
  bool done() const { return at_ == message_.size() && started_; }
  // The next packet of at most max_bytes (> kFragmentHeaderBytes); valid until the next call.
  ByteSpan Next(size_t max_bytes);
  // Bytes of the message that no packet holds yet.
  size_t left() const { return message_.size() - at_; }

 private:
  Bytes message_;
  Bytes first_;
  size_t at_ = 0;
  bool started_ = false;
};

// Puts messages together again. Memory grows with what has arrived, not with what is announced.
class Reassembler {
 public:
  explicit Reassembler(size_t max_message_bytes) : max_message_bytes_(max_message_bytes) {}
  // A whole message, or nullopt if more packets are needed. Fails for ever on packets that no
  // Fragmenter makes.
  Result<std::optional<Bytes>> Add(ByteSpan packet);

 private:
  size_t max_message_bytes_;
  Bytes message_;
  size_t missing_ = 0;
};

}  // namespace stac
