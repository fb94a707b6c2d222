#include "stac/capture/source_location.h"

#include <algorithm>
#include <filesystem>
#include <system_error>

namespace stac {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kCameras = "/dev/video";

bool IsLiveUrl(const std::string& location) {
  for (const char* start : {"rtsp://", "rtsps://", "rtmp://", "rtp://", "udp://", "srt://"}) {
    if (location.starts_with(start)) return true;
  }
  return false;
}

// URLs without user, password and query.
std::string ShownName(const std::string& location) {
  const size_t scheme = location.find("://");
  if (scheme == std::string::npos) return location;
  const size_t host = scheme + 3;
  const size_t host_end = std::min(location.find_first_of("/?#", host), location.size());
  const size_t at = location.rfind('@', host_end);
  const size_t start = at == std::string::npos || at < host || at >= host_end ? host : at + 1;
  return location.substr(start,
                         std::min(location.find_first_of("?#", start), location.size()) - start);
}

// The device behind a link, which has the name that tells what it is; else as given.
std::string Canonical(const std::string& location) {
  std::error_code error;
  const fs::path path = fs::canonical(location, error);
  return error ? location : path.string();
}

}  // namespace

SourceLocation LocateSource(const std::string& location) {
  using Kind = SourceLocation::Kind;
  SourceLocation place{.path = location, .shown = ShownName(location)};
  std::error_code ignored;
  const fs::file_status status = fs::status(location, ignored);
  if (fs::is_regular_file(status)) {
    place.kind = Kind::kFile;
    // FFmpeg would take what stands before a colon for a protocol.
    place.path = "file:" + location;
  } else if (fs::is_fifo(status)) {
    place.kind = Kind::kFifo;
  } else if (const std::string device = Canonical(location); device.starts_with(kCameras)) {
    place.kind = Kind::kCamera;
    place.path = device;
  } else {
    place.url = location.find("://") != std::string::npos;
  }
  place.live = place.kind == Kind::kCamera || IsLiveUrl(location);
  place.short_name = place.url ? place.shown : fs::path(location).stem().string();
  return place;
}

}  // namespace stac
