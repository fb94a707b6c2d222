#pragma once

#include <string>

namespace stac {

// What a location given by the user names, as far as it can be told without opening it.
struct SourceLocation {
  enum class Kind {
    kFile,    // an ordinary file
    kFifo,    // somebody may write to it, now or later
    kCamera,  // V4L2: /dev/videoN, or a link to one, as in /dev/v4l/by-id
    kOther,   // a URL, a pattern of file names, or nothing at all: FFmpeg will say
  };
  Kind kind = Kind::kOther;
  std::string path;        // what FFmpeg is to open
  std::string shown;       // for logs and errors: URLs without user, password and query
  std::string short_name;  // for results: files without folder and extension
  bool url = false;
  bool live = false;  // the source sets its own pace
};

SourceLocation LocateSource(const std::string& location);

}  // namespace stac
