#include <algorithm>
#include <cstdlib>
#include <string_view>

#include "stac/codec/encoder_options_internal.h"

namespace stac {

Status CheckEncoderOptions(const EncoderOptions& options) {
  const auto bad_size = [](int size) { return size < 16 || size > 16384 || size % 2 != 0; };
  if (bad_size(options.width) || bad_size(options.height)) {
    return Fail("cannot encode pictures of {}x{}: width and height must be even, 16..16384",
                options.width, options.height);
  }
  if (!(options.fps >= 0.01 && options.fps <= 1000)) {
    return Fail("cannot encode at {} frames per second: use 0.01..1000", options.fps);
  }
  if (options.threads < 1 || options.threads > 64) {
    return Fail("{} encoder threads asked for: use 1..64", options.threads);
  }
  if (std::abs(options.chroma_qp_offset) > 12) {
    return Fail("chroma QP offset {} is not in -12..12", options.chroma_qp_offset);
  }
  return OkStatus();
}

Status CheckFrame(const Frame& frame, const EncoderOptions& options) {
  if (frame.width() != options.width || frame.height() != options.height) {
    return Fail("a picture of {}x{} came to an encoder of {}x{}: open a new encoder", frame.width(),
                frame.height(), options.width, options.height);
  }
  if (frame.color() != options.color) {
    return Fail("a picture with colour {} came to an encoder for {}: open a new encoder",
                ToString(frame.color()), ToString(options.color));
  }
  return OkStatus();
}

std::vector<std::pair<std::string, std::string>> ExtraSettings(const EncoderOptions& options) {
  std::vector<std::pair<std::string, std::string>> settings;
  std::string_view extra = options.extra;
  while (!extra.empty()) {
    const size_t end = std::min(extra.find(':'), extra.size());
    const std::string_view item = extra.substr(0, end);
    extra.remove_prefix(std::min(end + 1, extra.size()));
    const size_t equals = item.find('=');
    settings.emplace_back(item.substr(0, equals), equals == std::string_view::npos
                                                      ? std::string_view("1")
                                                      : item.substr(equals + 1));
  }
  return settings;
}

}  // namespace stac
