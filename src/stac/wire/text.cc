#include <cstdint>

#include "stac/wire/text_internal.h"

namespace stac {
namespace {

// Length of the UTF-8 character at the start of `text`, or 0 if there is none (RFC 3629: no
// overlong forms, no surrogates, nothing above U+10FFFF).
size_t CharacterLength(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t first = byte(0);
  if (first < 0x80) return 1;
  size_t length = 0;
  uint32_t code = 0, smallest = 0;
  if ((first & 0xE0) == 0xC0) {
    length = 2, code = first & 0x1F, smallest = 0x80;
  } else if ((first & 0xF0) == 0xE0) {
    length = 3, code = first & 0x0F, smallest = 0x800;
  } else if ((first & 0xF8) == 0xF0) {
    length = 4, code = first & 0x07, smallest = 0x10000;
  } else {
    return 0;
  }
  if (text.size() < length) return 0;
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return 0;
    code = code << 6 | (byte(i) & 0x3F);
  }
  const bool surrogate = code >= 0xD800 && code <= 0xDFFF;
  return code < smallest || code > 0x10FFFF || surrogate ? 0 : length;
}

// C0, DEL and C1: they could forge log lines or drive a terminal.
bool IsControl(std::string_view character) {
  const auto first = static_cast<uint8_t>(character[0]);
  if (character.size() == 1) return first < 0x20 || first == 0x7F;
  return first == 0xC2 && static_cast<uint8_t>(character[1]) < 0xA0;
}

}  // namespace

Status CheckText(std::string_view text, std::string_view what, size_t max_characters, bool lines) {
  size_t characters = 0;
  while (!text.empty()) {
    const size_t length = CharacterLength(text);
    if (length == 0) return Fail("{} is not UTF-8", what);
    const bool line_character = text[0] == '\n' || text[0] == '\r' || text[0] == '\t';
    if (IsControl(text.substr(0, length)) && !(lines && line_character)) {
      return Fail("{} contains a control character", what);
    }
    if (++characters > max_characters) {
      return Fail("{} is longer than {} characters", what, max_characters);
    }
    text.remove_prefix(length);
  }
  return OkStatus();
}

std::string CleanText(std::string_view text, size_t max_characters) {
  std::string clean;
  for (size_t characters = 0; !text.empty() && characters < max_characters; ++characters) {
    const size_t length = CharacterLength(text);
    const std::string_view character = text.substr(0, length == 0 ? 1 : length);
    clean += length == 0 || IsControl(character) ? "?" : character;
    text.remove_prefix(character.size());
  }
  return clean;
}

}  // namespace stac
