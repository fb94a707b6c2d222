#pragma once

#include <memory>

#include "stac/capture/frame_source.h"
#include "stac/video/maps.h"

namespace stac {

struct SyntheticOptions {
  int width = 320;   // even
  int height = 192;  // even
  double fps = 15;
  int frame_count = 60;
  uint64_t seed = 1;
  double noise = 2.0;  // standard deviation of the sensor noise, in sample values
  bool camera_moves = true;
};

// A street with exact labels and exact flow: sky, buildings, road with markings, pavement, trees,
// moving cars and pedestrians, all textured, seen by a slowly moving camera. Labels are Cityscapes
// train ids. Frame i is a pure function of the options and i, so any frame can be made again.
class SyntheticScene {
 public:
  explicit SyntheticScene(const SyntheticOptions& options);
  ~SyntheticScene();

  struct Picture {
    Frame frame;
    LabelMap labels;
    FlowField then_from_now;  // step 1: exact motion from the frame before (zero for frame 0)
  };
  Picture Render(int index) const;
  const SyntheticOptions& options() const;

 private:
  struct World;
  std::unique_ptr<World> world_;
};

// Frames 0 .. frame_count-1 of the scene, of which `options` may choose; folder_fps is not used.
std::unique_ptr<FrameSource> MakeSyntheticSource(const SyntheticOptions& scene,
                                                 const SourceOptions& options = {});

}  // namespace stac
