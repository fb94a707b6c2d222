#pragma once

#include <memory>
#include <optional>

#include "stac/base/bytes.h"
#include "stac/base/result.h"
#include "stac/video/frame.h"
#include "stac/video/maps.h"

namespace stac {

struct DecodedFrame {
  Frame frame;  // colour as signalled in the stream; shares the decoder's buffer
  bool idr = false;
  // QP the decoder used for each macroblock; only if asked for. Macroblocks without coded
  // coefficients inherit the QP of the one before.
  std::optional<QpMap> qp;
};

struct DecoderOptions {
  bool want_qp = false;
  int threads = 1;  // slice threads: no delay
  // A picture larger than this is refused before its memory is allocated.
  int max_width = 8192;
  int max_height = 8192;
};

// H.264, one access unit in, one picture out. Not thread-safe.
class VideoDecoder {
 public:
  virtual ~VideoDecoder() = default;
  // Fails on bytes that do not decode cleanly; the decoder stays usable from the next IDR on.
  virtual Result<DecodedFrame> Decode(ByteSpan access_unit) = 0;
};

Result<std::unique_ptr<VideoDecoder>> MakeH264Decoder(const DecoderOptions& options = {});

}  // namespace stac
