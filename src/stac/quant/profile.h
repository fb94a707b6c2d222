#pragma once

#include <array>
#include <filesystem>
#include <string>
#include <vector>

#include "stac/base/result.h"
#include "stac/codec/video_encoder.h"
#include "stac/quant/level_ladder.h"
#include "stac/video/frame.h"

namespace stac {

// Average |gradient| per DCT frequency (eq. 2), raster order.
struct FrequencyGradients {
  std::array<double, 16> luma4{}, chroma4{};
  std::array<double, 64> luma8{}, cb8{}, cr8{};
};

// What calibration found out about a network; the run time only reads it.
struct Profile {
  // Where it comes from.
  std::string network;  // name
  std::string network_hash;
  int class_count = 0;
  ColorSpec color;
  std::vector<std::string> frames;  // the calibration frames, one line per clip: "clip: first-last"
  int frame_count = 0;
  int64_t pixel_count = 0;  // of one calibration frame, on average; 0: unknown
  std::string revision;     // code revision

  FrequencyGradients gradients;
  // Shape of the tables, lowest frequencies anchored at 16.
  ScalingMatrices gradient_matrices;
  // The ladder. Eight levels, because more cost more than they bring (docs/tried.md).
  int level_count = 8;
  double min_qp = 10;
  double max_qp = 51;
  // B_0 in the units of the loss, for regions of one macroblock: the worst-case increment
  // sum |g_s| q/2 of a region of typical sensitivity (geometric mean over calibration) under the
  // table of level 0, q_n = StepOfQp(min_qp) * LowFrequencyGradient / g_n (budget.h).
  double budget_of_level0 = 0;
  // Geometric mean over macroblocks of their sensitivity S under the default objective.
  double typical_sensitivity = 0;

  LevelLadder ladder() const { return LevelLadder(level_count, min_qp, max_qp); }
};

std::string ToJson(const Profile& profile);              // stable key order, human-readable
Result<Profile> ProfileFromJson(std::string_view json);  // untrusted: every field is checked
Result<Profile> ReadProfile(const std::filesystem::path& path);
Status WriteProfile(const std::filesystem::path& path, const Profile& profile);
// Identity of a profile, on the wire and among results: hash of its canonical JSON without the
// revision.
std::string ProfileHash(const Profile& profile);

// A profile for networks that were never calibrated: JVT matrices, the default ladder.
Profile UncalibratedProfile(const std::string& network, const std::string& network_hash,
                            int class_count);

}  // namespace stac
