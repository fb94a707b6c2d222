#pragma once

#include <filesystem>
#include <memory>

#include "stac/base/bytes.h"
#include "stac/base/clock.h"
#include "stac/base/result.h"

namespace stac {

// Writes an H.264 stream into an .mp4 that browsers play while it loads (index in front). The file
// is written aside and appears under its name only after a successful Finish(); the destructor
// removes what was not finished. Not thread-safe.
class Mp4Writer {
 public:
  virtual ~Mp4Writer() = default;
  // One access unit (Annex B, in decoding = presentation order), shown from `pts` on. Units before
  // the first one that carries parameter sets are left out. Times that do not increase are moved
  // up by a tick (1/90000 s).
  virtual Status Write(ByteSpan access_unit, Micros pts, bool idr) = 0;
  virtual Status Finish() = 0;
};

// Creates missing parent folders. width and height as in the stream; fps is the duration of the
// last picture.
Result<std::unique_ptr<Mp4Writer>> MakeMp4Writer(const std::filesystem::path& path, int width,
                                                 int height, double fps);

}  // namespace stac
