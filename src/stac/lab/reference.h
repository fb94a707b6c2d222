#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "stac/lab/clip.h"
#include "stac/segment/segmenter.h"
#include "stac/video/maps.h"

namespace stac {

// What a network says about a clip's raw frames, computed once per network and clip and kept on
// disk; files are found by the hashes of both.

// Labels of every raw frame: the truth that all systems are measured against.
Result<std::vector<LabelMap>> ReferenceLabels(const Clip& clip, Segmenter& network,
                                              const std::filesystem::path& cache);

// AccMPEG's accuracy gradients (accuracy_gradient.h) of every frame: x_high is the raw frame, x_low
// the frame coded at kAccMpegLowQp in one stream (an IDR, then P frames; the device's network is
// trained on frames coded alone), and the loss that of x_low against the network's labels of
// x_high.
Result<std::vector<SensitivityMap>> AccuracyGradients(const Clip& clip, Segmenter& network,
                                                      const std::vector<LabelMap>& reference,
                                                      const LabTools& tools,
                                                      const std::filesystem::path& cache);

}  // namespace stac
