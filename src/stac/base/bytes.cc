#include "stac/base/bytes.h"

#include <fmt/format.h>
#include <xxhash.h>

namespace stac {
namespace {

template <typename T>
std::optional<T> ReadLittleEndian(ByteSpan bytes, size_t& at) {
  if (bytes.size() - at < sizeof(T)) return std::nullopt;
  T value = 0;
  for (size_t i = 0; i < sizeof(T); ++i) value |= static_cast<T>(T{bytes[at + i]} << (8 * i));
  at += sizeof(T);
  return value;
}

template <typename T>
void AppendLittleEndian(Bytes& bytes, T value) {
  for (size_t i = 0; i < sizeof(T); ++i) bytes.push_back(static_cast<uint8_t>(value >> (8 * i)));
}

}  // namespace

std::optional<uint8_t> ByteReader::U8() { return ReadLittleEndian<uint8_t>(bytes_, at_); }
std::optional<uint16_t> ByteReader::U16() { return ReadLittleEndian<uint16_t>(bytes_, at_); }
std::optional<uint32_t> ByteReader::U32() { return ReadLittleEndian<uint32_t>(bytes_, at_); }
std::optional<uint64_t> ByteReader::U64() { return ReadLittleEndian<uint64_t>(bytes_, at_); }

std::optional<uint64_t> ByteReader::Varint() {
  uint64_t value = 0;
  for (int shift = 0; shift < 64; shift += 7) {
    const auto byte = U8();
    if (!byte) return std::nullopt;
    value |= uint64_t{*byte & 0x7Fu} << shift;
    if ((*byte & 0x80) == 0) return value;
  }
  return std::nullopt;
}

std::optional<ByteSpan> ByteReader::Take(size_t count) {
  if (count > left()) return std::nullopt;
  const ByteSpan taken = bytes_.subspan(at_, count);
  at_ += count;
  return taken;
}

ByteSpan ByteReader::Rest() { return *Take(left()); }

void ByteWriter::U16(uint16_t value) { AppendLittleEndian(bytes_, value); }
void ByteWriter::U32(uint32_t value) { AppendLittleEndian(bytes_, value); }
void ByteWriter::U64(uint64_t value) { AppendLittleEndian(bytes_, value); }

void ByteWriter::Varint(uint64_t value) {
  while (value >= 0x80) {
    bytes_.push_back(static_cast<uint8_t>(value | 0x80));
    value >>= 7;
  }
  bytes_.push_back(static_cast<uint8_t>(value));
}

uint64_t Hash64(ByteSpan bytes) { return XXH64(bytes.data(), bytes.size(), 0); }
std::string HexHash(ByteSpan bytes) { return fmt::format("{:016x}", Hash64(bytes)); }

}  // namespace stac
