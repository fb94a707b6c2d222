#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "stac/quant/profile.h"
#include "stac/segment/segmenter.h"

namespace stac {

struct CalibrationOptions {
  int level_count = 8;  // the ladder of the profile
  double min_qp = 10;
  double max_qp = 51;
  Objective sensitivity;  // whose typical value is noted down
};

// Section IV-A: finds out what a network is sensitive to, from frames added one by one. Costs two
// runs of the network with gradient for each frame. Frames may differ in size (averages are over
// blocks), not in colour description. Not thread-safe; `segmenter` must outlive the calibrator.
class Calibrator {
 public:
  explicit Calibrator(Segmenter& segmenter, const CalibrationOptions& options = {});

  // Frames added from here on belong to the clip `name`; Profile::frames gets a line for it.
  void BeginClip(const std::string& name);
  Status Add(const Frame& frame);
  // The profile of everything added. Fails if there was no frame or no gradient.
  Result<Profile> Finish() const;

 private:
  // Sums of |gradient| per frequency over blocks, and how many blocks.
  template <size_t count>
  struct FrequencySums {
    std::array<double, count> sums{};
    int64_t blocks = 0;
    void Add(const Grid<float>& plane);
    std::array<double, count> Average() const;
  };

  Segmenter& segmenter_;
  CalibrationOptions options_;
  ColorSpec color_;
  struct Clip {
    std::string name;
    int frames = 0;
    FrameId first = 0, last = 0;
  };
  std::vector<Clip> clips_;
  int frame_count_ = 0;
  int64_t pixels_ = 0;
  FrequencySums<16> luma4_, chroma4_;
  FrequencySums<64> luma8_, cb8_, cr8_;
  // Of a sample of macroblocks: sum of |g_s| for each luma frequency.
  std::vector<std::array<float, 16>> macroblocks_;
  double log_sensitivity_ = 0;  // sum of log S over macroblocks with S > 0
  int64_t sensitive_macroblocks_ = 0;
};

// Scaling matrices with the shape of the paper's tables: entry n is inversely proportional to the
// average gradient of frequency n, so that every coefficient may add the same to the loss; 16 where
// the gradient has the (geometric) mean of the lowest frequencies (row + column <= 1 for 4x4, <= 2
// for 8x8), because lambda follows QP only; rounded and kept within 4..255. Intra and inter alike.
ScalingMatrices MatricesFromGradients(const FrequencyGradients& gradients);

}  // namespace stac
