#include "stac/transport/fragments.h"

#include <algorithm>
#include <utility>

#include "stac/base/check.h"

namespace stac {

ByteSpan Fragmenter::Next(size_t max_bytes) {
  STAC_CHECK_GT(max_bytes, kFragmentHeaderBytes);
  STAC_CHECK(!done());
  const size_t room = max_bytes - (started_ ? 0 : kFragmentHeaderBytes);
  const ByteSpan part = ByteSpan(message_).subspan(at_, std::min(room, left()));
  at_ += part.size();
  if (std::exchange(started_, true)) return part;
  ByteWriter writer;
  writer.U32(static_cast<uint32_t>(message_.size()));
  writer.Append(part);
  first_ = writer.Release();
  return first_;
}

Result<std::optional<Bytes>> Reassembler::Add(ByteSpan packet) {
  if (missing_ == 0) {
    ByteReader reader(packet);
    const auto size = reader.U32();
    if (size && *size == 0 && reader.Rest().empty()) return std::nullopt;
    if (!size || *size == 0) return Fail("a packet without a message length");
    if (*size > max_message_bytes_) {
      return Fail("a message of {} bytes, above the limit of {}", *size, max_message_bytes_);
    }
    missing_ = *size;
    message_.clear();
    packet = reader.Rest();
  }
  if (packet.size() > missing_) return Fail("a packet that reaches beyond its message");
  message_.insert(message_.end(), packet.begin(), packet.end());
  missing_ -= packet.size();
  if (missing_ > 0) return std::nullopt;
  return std::exchange(message_, {});
}

}  // namespace stac
