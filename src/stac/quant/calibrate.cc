#include "stac/quant/calibrate.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "stac/base/revision.h"
#include "stac/quant/block_dct.h"
#include "stac/quant/budget.h"
#include "stac/video/maps.h"

namespace stac {
namespace {

constexpr int kMacroblocksPerFrame = 1024;

// To six significant digits: calibration knows no more, and people read the file.
double Rounded(double value) { return std::strtod(fmt::format("{:.5e}", value).c_str(), nullptr); }

template <size_t count>
std::array<uint8_t, count> MatrixFromGradients(const std::array<double, count>& gradients) {
  const double anchor = LowFrequencyGradient(gradients);
  std::array<uint8_t, count> matrix;
  for (size_t n = 0; n < count; ++n) {
    // A frequency without gradient can take the coarsest step.
    const double entry = gradients[n] > 0 ? 16 * anchor / gradients[n] : 255;
    matrix[n] = static_cast<uint8_t>(std::lround(std::clamp(entry, 4.0, 255.0)));
  }
  return matrix;
}

// Sums of |coefficient| for each frequency in one macroblock of a plane of 4x4 DCTs.
std::array<float, 16> MacroblockSums(const Grid<float>& coefficients, int column, int row) {
  std::array<float, 16> sums{};
  const int right = std::min((column + 1) * kMacroblock, coefficients.width());
  const int bottom = std::min((row + 1) * kMacroblock, coefficients.height());
  for (int y = row * kMacroblock; y < bottom; ++y) {
    for (int x = column * kMacroblock; x < right; ++x) {
      sums[y % 4 * 4 + x % 4] += std::abs(coefficients(x, y));
    }
  }
  return sums;
}

}  // namespace

template <size_t count>
void Calibrator::FrequencySums<count>::Add(const Grid<float>& plane) {
  constexpr int size = count == 16 ? 4 : 8;
  const Grid<float> coefficients = BlockDct(plane, size);
  for (int y = 0; y < coefficients.height(); ++y) {
    const auto row = coefficients.Row(y);
    double* row_sums = &sums[y % size * size];
    for (int x = 0; x < coefficients.width(); ++x) row_sums[x % size] += std::abs(row[x]);
  }
  blocks += static_cast<int64_t>(coefficients.size() / count);
}

template <size_t count>
std::array<double, count> Calibrator::FrequencySums<count>::Average() const {
  std::array<double, count> average;
  for (size_t n = 0; n < count; ++n) average[n] = Rounded(sums[n] / static_cast<double>(blocks));
  return average;
}

Calibrator::Calibrator(Segmenter& segmenter, const CalibrationOptions& options)
    : segmenter_(segmenter), options_(options) {}

void Calibrator::BeginClip(const std::string& name) { clips_.push_back({.name = name}); }

Status Calibrator::Add(const Frame& frame) {
  if (frame_count_ > 0 && frame.color() != color_) {
    return Fail("the calibration frames are {} and {}: calibrate for one of them", ToString(color_),
                ToString(frame.color()));
  }
  STAC_ASSIGN_OR_RETURN(const Segmentation loss,
                        segmenter_.RunWithGradient(frame, {.kind = ObjectiveKind::kFakeLabelLoss}));
  STAC_ASSIGN_OR_RETURN(const Segmentation sensitivity,
                        segmenter_.RunWithGradient(frame, options_.sensitivity));

  if (clips_.empty()) BeginClip("frames");
  Clip& clip = clips_.back();
  if (clip.frames++ == 0) clip.first = frame.id;
  clip.last = frame.id;
  color_ = frame.color();
  ++frame_count_;
  pixels_ += static_cast<int64_t>(frame.width()) * frame.height();

  const InputGradient& gradient = loss.gradients.front();
  luma4_.Add(gradient.y);
  luma8_.Add(gradient.y);
  chroma4_.Add(gradient.cb);
  chroma4_.Add(gradient.cr);
  cb8_.Add(gradient.cb);
  cr8_.Add(gradient.cr);

  const Grid<float> coefficients = BlockDct(gradient.y, 4);
  const RegionGrid grid{frame.width(), frame.height(), kMacroblock};
  const int stride = (grid.count() + kMacroblocksPerFrame - 1) / kMacroblocksPerFrame;
  for (int i = 0; i < grid.count(); i += stride) {
    macroblocks_.push_back(MacroblockSums(coefficients, i % grid.columns(), i / grid.columns()));
  }

  Grid<double> sums(grid.columns(), grid.rows());
  for (const InputGradient& projection : sensitivity.gradients) {
    const Grid<double> more = SumMagnitudes(BlockDct(projection.y, 8), kMacroblock);
    for (size_t i = 0; i < sums.size(); ++i) sums[i] += more[i];
  }
  for (const double s : sums) {
    if (!(s > 0)) continue;
    log_sensitivity_ += std::log(s);
    ++sensitive_macroblocks_;
  }
  return OkStatus();
}

Result<Profile> Calibrator::Finish() const {
  if (frame_count_ == 0) return Fail("there was no frame to calibrate with");
  Profile profile;
  profile.network = segmenter_.info().name;
  profile.network_hash = segmenter_.info().hash;
  profile.class_count = segmenter_.info().class_count;
  profile.color = color_;
  for (const Clip& clip : clips_) {
    if (clip.frames == 0) continue;
    profile.frames.push_back(fmt::format("{}: {}-{}", clip.name, clip.first, clip.last));
  }
  profile.frame_count = frame_count_;
  profile.pixel_count = pixels_ / frame_count_;
  profile.revision = CodeRevision();
  profile.level_count = options_.level_count;
  profile.min_qp = options_.min_qp;
  profile.max_qp = options_.max_qp;
  profile.gradients = {.luma4 = luma4_.Average(),
                       .chroma4 = chroma4_.Average(),
                       .luma8 = luma8_.Average(),
                       .cb8 = cb8_.Average(),
                       .cr8 = cr8_.Average()};
  profile.gradient_matrices = MatricesFromGradients(profile.gradients);

  // Worst-case increments sum |g_s| q / 2 of macroblocks at level 0, with the anchored tables
  // q_n = step * g_anchor / g_n before rounding to matrix entries.
  const double anchor = LowFrequencyGradient(profile.gradients.luma4);
  double log_increment = 0;
  int64_t count = 0;
  for (const auto& sums : macroblocks_) {
    double weight = 0;
    for (int n = 0; n < 16; ++n) {
      if (profile.gradients.luma4[n] > 0) weight += sums[n] / profile.gradients.luma4[n];
    }
    const double increment = weight * anchor * StepOfQp(profile.min_qp) / 2;
    if (!(increment > 0)) continue;
    log_increment += std::log(increment);
    ++count;
  }
  if (count == 0 || sensitive_macroblocks_ == 0) {
    return Fail(
        "network {} has no gradient on these {} frames, so there is nothing to calibrate: "
        "use frames like those it was trained for",
        profile.network, frame_count_);
  }
  profile.budget_of_level0 = Rounded(std::exp(log_increment / static_cast<double>(count)));
  profile.typical_sensitivity =
      Rounded(std::exp(log_sensitivity_ / static_cast<double>(sensitive_macroblocks_)));
  return profile;
}

ScalingMatrices MatricesFromGradients(const FrequencyGradients& gradients) {
  ScalingMatrices matrices;
  matrices.intra_y4 = matrices.inter_y4 = MatrixFromGradients(gradients.luma4);
  matrices.intra_c4 = matrices.inter_c4 = MatrixFromGradients(gradients.chroma4);
  matrices.intra_y8 = matrices.inter_y8 = MatrixFromGradients(gradients.luma8);
  return matrices;
}

}  // namespace stac
