#pragma once

#include <memory>
#include <optional>

#include "stac/base/bytes.h"
#include "stac/base/result.h"
#include "stac/video/frame.h"
#include "stac/video/maps.h"
#include "stac/video/video_codec.h"

namespace stac {

struct DecodedFrame {
  Frame frame;  // colour as signalled in the stream; shares the decoder's buffer
  bool idr = false;
  // QP the decoder used for each macroblock; only if asked for. Macroblocks without coded
  // coefficients inherit the QP of the one before; those with raw samples (I_PCM) show 0.
  std::optional<QpMap> qp;
};

struct DecoderOptions {
  VideoCodec codec = VideoCodec::kH264;
  bool want_qp = false;  // H.264 only: FFmpeg does not tell those of H.265
  int threads = 1;       // slice threads: no delay
  // A picture larger than this is refused before its memory is allocated.
  int max_width = 8192;
  int max_height = 8192;
};

// One access unit in, one picture out. Not thread-safe.
class VideoDecoder {
 public:
  virtual ~VideoDecoder() = default;
  // Fails on bytes that do not decode cleanly and on a picture whose predecessors are missing; the
  // decoder stays usable from the next IDR on, and refuses other pictures until then. Untrusted
  // input. Damage that leaves a valid stream (there is no checksum) is not noticed.
  virtual Result<DecodedFrame> Decode(ByteSpan access_unit) = 0;
};

// FFmpeg's decoder. A colour matrix that the stream does not name counts as BT.709.
Result<std::unique_ptr<VideoDecoder>> MakeVideoDecoder(const DecoderOptions& options = {});

}  // namespace stac
