#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>

#include "stac/base/result.h"
#include "stac/video/frame.h"
#include "stac/video/maps.h"

namespace stac {

struct SourceInfo {
  int width = 0;  // of the delivered frames: even
  int height = 0;
  double fps = 0;  // nominal; > 0
  ColorSpec color;
  int64_t frame_count = -1;  // -1: unknown (live)
  bool live = false;         // paced by the source itself (camera, RTSP)
  std::string name;          // short, for logs and results
};

// Delivers frames as I420 with ids 0, 1, 2, ... and presentation times from 0.
// Not thread-safe, except for Interrupt; one reader.
class FrameSource {
 public:
  virtual ~FrameSource() = default;
  virtual const SourceInfo& info() const = 0;
  // The next frame; nullopt at the end.
  virtual Result<std::optional<Frame>> Next() = 0;
  // Ends the source from another thread: a Next that waits for a camera or a sender returns soon,
  // and it and later ones may give the end or an error. Sources that never wait need not do
  // anything.
  virtual void Interrupt() {}
  // Human labels (or exact ones, for synthetic scenes) of the frame delivered last, where the
  // source has them.
  virtual std::optional<LabelMap> Labels() { return std::nullopt; }
};

struct SourceOptions {
  // Frames are scaled down to fit into this box (aspect kept, even size); 0: as they are.
  int max_width = 0;
  int max_height = 0;
  int64_t first_frame = 0;
  int64_t max_frames = -1;  // after first_frame; -1: all
  int frame_step = 1;       // deliver every n-th frame; fps is divided by it
  double folder_fps = 15;   // for image folders, which carry no rate
  // A camera or URL that takes so long to open, or sends nothing for so long, is an error; so is a
  // FIFO with nothing for so long after it has begun.
  double patience_s = 10;
  // Set by anybody: opening a camera, URL or FIFO, and waiting for it, ends soon. Borrowed,
  // outlives the source.
  const std::atomic<bool>* stop = nullptr;
  std::string exclude;  // image folders: pictures whose file name contains this are left out
};

// Opens any of
//   a file or URL that FFmpeg reads (video.mp4, rtsp://..., /dev/video0);
//   a folder of images in name order (PNG or JPEG), with labels where the CamVid or Cityscapes
//   naming tells where they lie;
//   synthetic:WIDTHxHEIGHT@FPS[:SEED] (see synthetic_scene.h).
// Odd sizes are cropped by one row or column, which is logged.
Result<std::unique_ptr<FrameSource>> OpenSource(const std::string& location,
                                                const SourceOptions& options = {});

}  // namespace stac
