#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "stac/base/result.h"
#include "stac/lab/system_spec.h"

namespace stac {

struct NetworkEntry {
  std::string name;
  std::string path;     // as LoadSegmenter takes it, $STAC_DATA replaced
  std::string profile;  // profile file; empty: calibrated
  std::string
      accmpeg;       // the device's network for macroblocks (accmpeg:map=predicted); may be empty
  std::string hash;  // of the file: filled in when the experiment runs
  std::string accmpeg_hash;  // likewise
};

struct ClipEntry {
  std::string name;
  std::string source;  // as OpenSource takes it, $STAC_DATA replaced
  int first = 0;
  int frames = 0;     // 0: all
  int step = 1;       // every n-th frame
  int max_width = 0;  // 0: as it is
  double folder_fps = 15;
  std::string human;  // human labels: empty, camvid11 or train_ids (label_mapping.h)
};

struct SystemEntry {
  std::string name;  // of the curve; several entries may add to one curve
  SystemSpec base;
  // Each knob takes each of its values: the points are the product.
  std::vector<std::pair<std::string, std::vector<std::string>>> knobs;
};

// What the results show; `stac figures` draws it.
enum class FigureKind {
  kAccuracyBitrate,  // a matrix of systems x networks x clips x knobs (Fig. 1, 11, 15)
  kGradientMaps,     // heat maps of |gradient| (Fig. 4)
  kLossGap,          // |dQ_u| - |dQ_s| over size (Fig. 6)
  kFakeLoss,         // true and fake loss over quantization error (Fig. 7)
  kLevelDeviation,   // CDF of level deviation over propagation distance (Fig. 9)
  kAllocationBound,  // how far a search that knows the truth gets
};

// An experiment as its TOML file describes it (docs/lab.md).
struct ExperimentSpec {
  std::string name;
  std::string title;
  FigureKind figure = FigureKind::kAccuracyBitrate;
  std::string reference;  // curve that others are compared with by default
  uint64_t seed = 1;
  int network_threads = 2;
  std::vector<NetworkEntry> networks;
  std::vector<ClipEntry> clips;
  std::vector<SystemEntry> systems;
  // Frames on which networks without a profile are calibrated; none: the first clip's first six.
  std::optional<ClipEntry> calibration;
  std::string text;  // the file, for the record
};

// `quick`: apply the [quick] table: fewer frames, networks, clips and knob values. Fails with the
// line, what is wrong there and what is allowed.
Result<ExperimentSpec> ParseExperiment(std::string_view toml, const std::string& file_name,
                                       bool quick);
Result<ExperimentSpec> ReadExperiment(const std::filesystem::path& path, bool quick);

// One operating point of the matrix: indices into the spec and the complete system.
struct PointSpec {
  std::string system;  // curve
  SystemSpec spec;
  size_t network = 0;
  size_t clip = 0;
};
// All points, network by network and clip by clip; equal ones once. Every knob value was checked
// when the experiment was parsed.
std::vector<PointSpec> ExpandMatrix(const ExperimentSpec& experiment);

}  // namespace stac
