#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace stac {

using Bytes = std::vector<uint8_t>;
using ByteSpan = std::span<const uint8_t>;

inline ByteSpan AsBytes(std::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}
inline std::string_view AsText(ByteSpan bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// Reads little-endian numbers from untrusted bytes: past the end every read returns nullopt, and
// nothing is allocated before its size has been checked against what is left.
class ByteReader {
 public:
  explicit ByteReader(ByteSpan bytes) : bytes_(bytes) {}

  size_t left() const { return bytes_.size() - at_; }
  std::optional<uint8_t> U8();
  std::optional<uint16_t> U16();
  std::optional<uint32_t> U32();
  std::optional<uint64_t> U64();
  // LEB128, at most 10 bytes.
  std::optional<uint64_t> Varint();
  std::optional<ByteSpan> Take(size_t count);
  ByteSpan Rest();

 private:
  ByteSpan bytes_;
  size_t at_ = 0;
};

// Appends little-endian numbers.
class ByteWriter {
 public:
  void U8(uint8_t value) { bytes_.push_back(value); }
  void U16(uint16_t value);
  void U32(uint32_t value);
  void U64(uint64_t value);
  void Varint(uint64_t value);
  void Append(ByteSpan bytes) { bytes_.insert(bytes_.end(), bytes.begin(), bytes.end()); }
  const Bytes& bytes() const { return bytes_; }
  Bytes Release() { return std::move(bytes_); }

 private:
  Bytes bytes_;
};

// 64-bit xxHash, as 16 hexadecimal digits. For identity, not for security.
uint64_t Hash64(ByteSpan bytes);
std::string HexHash(ByteSpan bytes);

}  // namespace stac
