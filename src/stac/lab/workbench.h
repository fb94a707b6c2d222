#pragma once

#include <compare>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include "stac/lab/clip.h"
#include "stac/lab/experiment_spec.h"
#include "stac/lab/lab_tools.h"
#include "stac/lab/result_row.h"
#include "stac/quant/profile.h"

namespace stac {

// Frames on which networks without a profile file are calibrated.
struct CalibrationFrames {
  std::vector<Frame> frames;
  std::string name;  // of the clip
  std::string hash;
};

// How a system's server takes its gradients: see SegmenterOptions.
struct GradientSettings {
  int downscale = 1;
  bool half = false;  // Precision::kHalfGradient
  friend auto operator<=>(const GradientSettings&, const GradientSettings&) = default;
};
GradientSettings GradientSettingsOf(const SystemSpec& system);

// Where what networks said about raw frames is kept, by the code and the number of threads that
// computed it: both may change it. `given`: a folder to share; empty: in `out`.
std::filesystem::path CacheFolder(const std::filesystem::path& out,
                                  const std::filesystem::path& given,
                                  const ExperimentSpec& experiment);

// What one worker process keeps between operating points: the networks, what they said about raw
// frames, and the clips' motion. Clips are loaded before the workers are forked and
// shared. Not thread-safe.
class Workbench {
 public:
  Workbench(const ExperimentSpec& experiment, const std::vector<Clip>& clips,
            const CalibrationFrames& calibration, const LabTools& tools,
            std::filesystem::path cache);

  // Measures one point; per_second: its segments too. Its total time is that of the whole call:
  // also what is made on the way and kept, such as motion. Fails with the point's name in front.
  Result<ResultRow> Run(const PointSpec& point, bool per_second = false);

  // The profile of a network: its file, or calibrated once and kept in the cache.
  Result<Profile> NetworkProfile(size_t network);
  // Labels of raw frames, computed if they are not in the cache.
  Result<const std::vector<LabelMap>*> Reference(size_t network, size_t clip);
  // Importance of every frame's macroblocks: by the device's own network, or true accuracy
  // gradients.
  Result<const std::vector<SensitivityMap>*> Importance(size_t network, size_t clip,
                                                        bool predicted);
  Result<Segmenter*> Network(size_t network, const GradientSettings& gradient = {});
  const ClipMotion& Motion(size_t clip);
  const ExperimentSpec& experiment() const { return experiment_; }
  const std::vector<Clip>& clips() const { return clips_; }

 private:
  Result<std::vector<SensitivityMap>> PredictedImportance(size_t network, size_t clip);

  const ExperimentSpec& experiment_;
  const std::vector<Clip>& clips_;
  const CalibrationFrames& calibration_;
  const LabTools& tools_;
  std::filesystem::path cache_;
  std::map<std::pair<size_t, GradientSettings>, std::unique_ptr<Segmenter>> networks_;
  std::map<size_t, MacroblockScorer> scorers_;
  std::map<size_t, Profile> profiles_;
  std::map<std::pair<size_t, size_t>, std::vector<LabelMap>> references_;
  std::map<std::tuple<size_t, size_t, bool>, std::vector<SensitivityMap>> importance_;
  std::map<size_t, ClipMotion> motion_;
};

// Importance per macroblock of a frame for the macroblocks of the same frame at another size.
SensitivityMap ResampleMap(const SensitivityMap& map, int columns, int rows);

}  // namespace stac
