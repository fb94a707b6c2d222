#pragma once

#include <memory>
#include <string>

#include "stac/base/result.h"
#include "stac/capture/frame_source.h"

namespace stac {

// Any file, FIFO, URL or camera that FFmpeg opens; /dev/videoN, or a link to it, is opened as a
// V4L2 camera.
//   4:2:0 pictures of 8 bits are delivered as decoded, without a copy. Other YUV formats are
//   converted with matrix and range kept; RGB, and matrices other than BT.601 and BT.709, become
//   bt709/limited. Where the stream does not say its matrix, it is taken as BT.709 above 576 lines
//   or from 1280 columns on, else as BT.601 (as players do), which is logged.
// Motion JPEG over HTTP is live: its pictures have the times at which they come.
// frame_count comes from the container, or from its duration: nominal. A camera, a URL or a FIFO
// that sends nothing for SourceOptions::patience_s, or no picture for 30 s, gives an error; so does
// a change of size. Who is to write to a FIFO may take any time to begin. Damaged packets are
// skipped (logged once). Interrupt ends a Next that waits for any of these.
Result<std::unique_ptr<FrameSource>> OpenFfmpegSource(const std::string& location,
                                                      const SourceOptions& options = {});

}  // namespace stac
