#pragma once

#include <optional>
#include <string_view>

namespace stac {

// How keyframes are coded on their way to the server.
enum class VideoCodec { kH264, kH265 };

constexpr std::string_view ToString(VideoCodec codec) {
  return codec == VideoCodec::kH265 ? "h265" : "h264";
}

constexpr std::optional<VideoCodec> VideoCodecFromName(std::string_view name) {
  for (const VideoCodec codec : {VideoCodec::kH264, VideoCodec::kH265}) {
    if (ToString(codec) == name) return codec;
  }
  return std::nullopt;
}

}  // namespace stac
