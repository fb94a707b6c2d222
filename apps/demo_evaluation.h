#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "stac/base/result.h"
#include "stac/video/video_codec.h"

namespace stac {

struct DemoRun {
  std::string input;
  std::string network;
  std::string profile;        // empty: as the server chose it
  std::filesystem::path out;  // holds labels/, video.CODEC and plan.jsonl of the run
  VideoCodec codec = VideoCodec::kH264;
  double base_qp = 30;
  int64_t frames = 0;
};

struct DemoEvaluation {
  std::string network;
  double pixel_accuracy = 0;  // over all frames, 0..1
  double mean_iou = 0;
  std::vector<double> pa_of_frame;
};

// Compares the labels that the device delivered for every frame with the network's output on the
// raw frame; writes overlay.mp4 and the still pictures (frame, decoded, labels, reference,
// sensitivity, levels, difference as .png) into the folder.
Result<DemoEvaluation> EvaluateDemo(const DemoRun& run);

}  // namespace stac
