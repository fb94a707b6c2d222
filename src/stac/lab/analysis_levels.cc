#include <algorithm>
#include <cmath>
#include <map>

#include "stac/allocate/rules.h"
#include "stac/allocate/sensitivity.h"
#include "stac/lab/analysis_internal.h"
#include "stac/lab/result_row.h"
#include "stac/lab/session_options.h"
#include "stac/propagate/motion_chain.h"
#include "stac/propagate/warp.h"
#include "stac/quant/block_dct.h"
#include "stac/quant/budget.h"

namespace stac {
namespace {

constexpr int kBlock = 4;
constexpr int kFrames = 5;
constexpr double kBaseQp = 32;
constexpr int kDistances[] = {1, 2, 4, 8};
constexpr int kMaxDeviation = 10;

struct Allocation {
  LevelMap levels;
  std::vector<double> budgets;  // B_l
};

// The network's profile with the ladder of the system as printed, of 32 levels.
Result<Profile> PrintedProfile(const Profile& profile) {
  STAC_ASSIGN_OR_RETURN(const SystemSpec printed, SystemSpec::Parse("stac:paper"));
  return ProfileOf(printed, profile);
}

// Algorithm 1 on the fake-label loss of a raw frame.
Allocation Printed(const InputGradient& gradient, const Profile& profile, const RegionGrid& regions,
                   double base_qp) {
  const int pixels = regions.frame_width * regions.frame_height;
  Allocation out;
  out.budgets = LevelBudgets(profile, pixels);
  out.levels = AlgorithmOne(TableWeights(gradient, profile.gradients, regions),
                            BudgetOfBaseQp(profile, base_qp, regions), pixels, out.budgets);
  return out;
}

// s - round(s / q) q: what quantization with step q leaves.
double Leftover(double s, double q) { return s - std::round(s / q) * q; }

}  // namespace

Result<std::string> LossGapLines(Workbench& bench, size_t network, size_t clip_index) {
  const Clip& clip = bench.clips()[clip_index];
  STAC_ASSIGN_OR_RETURN(Segmenter * segmenter, bench.Network(network));
  STAC_ASSIGN_OR_RETURN(const Profile measured, bench.NetworkProfile(network));
  STAC_ASSIGN_OR_RETURN(const Profile profile, PrintedProfile(measured));
  const RegionGrid regions{.frame_width = clip.width(), .frame_height = clip.height()};
  const double pixels = double{1} * clip.width() * clip.height();
  const size_t count = std::min<size_t>(kFrames, clip.frames.size());
  std::string lines;
  for (size_t i = 0; i < count; ++i) {
    const Frame& frame = clip.frames[i * (clip.frames.size() - 1) / std::max<size_t>(count - 1, 1)];
    Grid<float> samples(frame.width(), frame.height());
    for (int y = 0; y < frame.height(); ++y) {
      for (int x = 0; x < frame.width(); ++x) samples(x, y) = frame.y().At(x, y);
    }
    STAC_ASSIGN_OR_RETURN(
        const Segmentation result,
        segmenter->RunWithGradient(frame, {.kind = ObjectiveKind::kFakeLabelLoss}));
    const InputGradient& gradient = result.gradients.front();
    const Grid<float> s = BlockDct(samples, kBlock);
    const Grid<float> g = BlockDct(gradient.y, kBlock);
    for (double base_qp = 14; base_qp <= 46; base_qp += 2) {
      const Allocation stac = Printed(gradient, profile, regions, base_qp);
      // Equation (5): all tables are one shape times B, so the uniform table of the same size has
      // the geometric mean of the regions' budgets.
      double mean_log = 0;
      for (const uint8_t level : stac.levels) {
        mean_log += std::log2(stac.budgets[level]) / static_cast<double>(stac.levels.size());
      }
      const double uniform = std::exp2(mean_log);
      double bits = 0, dq_uniform = 0, dq_stac = 0;
      for (int y = 0; y < frame.height(); ++y) {
        for (int x = 0; x < frame.width(); ++x) {
          const int n = y % kBlock * kBlock + x % kBlock;
          const double step = 2 / (pixels * profile.gradients.luma4[n]);  // q_n = step * B
          const double budget = stac.budgets[stac.levels(x / kMacroblock, y / kMacroblock)];
          const double value = s(x, y);
          dq_uniform += g(x, y) * Leftover(value, step * uniform);
          dq_stac += g(x, y) * Leftover(value, step * budget);
          // Coefficients below one step take no bits.
          bits += std::max(0.0, std::log2(std::max(std::abs(value), 1e-9) / (step * budget)));
        }
      }
      lines += fmt::format("{},{},{},{},{:.6g},{:.6g},{:.6g},{:.6g}\n",
                           CsvField(bench.experiment().networks[network].name), CsvField(clip.name),
                           frame.id, base_qp, bits / 8000, std::abs(dq_uniform), std::abs(dq_stac),
                           std::abs(dq_uniform) - std::abs(dq_stac));
    }
  }
  return lines;
}

Result<std::string> LevelDeviationLines(Workbench& bench, size_t network, size_t clip_index) {
  const Clip& clip = bench.clips()[clip_index];
  STAC_ASSIGN_OR_RETURN(Segmenter * segmenter, bench.Network(network));
  STAC_ASSIGN_OR_RETURN(const Profile measured, bench.NetworkProfile(network));
  STAC_ASSIGN_OR_RETURN(const Profile printed, PrintedProfile(measured));
  STAC_ASSIGN_OR_RETURN(const SystemSpec ours, SystemSpec::Parse("stac"));
  const LevelLadder ladder = ProfileOf(ours, measured).ladder();
  const ServerOptions server = ServerOptionsOf(ours, bench.experiment().seed);
  const ClipMotion& motion = bench.Motion(clip_index);
  const RegionGrid regions{.frame_width = clip.width(), .frame_height = clip.height()};

  // Levels of every frame, newly computed; the motion chain has every frame as an anchor.
  std::map<std::string, std::vector<LevelMap>> fresh;
  std::map<std::tuple<std::string, int>, std::vector<int64_t>> counts;
  MotionChain chain(kDistances[std::size(kDistances) - 1] + 1);
  for (const Frame& frame : clip.frames) {
    STAC_ASSIGN_OR_RETURN(
        const Segmentation loss,
        segmenter->RunWithGradient(frame, {.kind = ObjectiveKind::kFakeLabelLoss}));
    STAC_ASSIGN_OR_RETURN(const Segmentation result,
                          segmenter->RunWithGradient(frame, server.objective));
    fresh["paper"].push_back(Printed(loss.gradients.front(), printed, regions, kBaseQp).levels);
    fresh["power"].push_back(
        PowerLevels(RegionSensitivity(result.gradients, regions, server.sensitivity), kBaseQp,
                    server.power, ladder));
    const FlowField& flow = motion[frame.id];
    chain.Advance(flow);
    chain.AddAnchor(frame.id, frame.width(), frame.height(), flow.step);
    for (const int distance : kDistances) {
      if (static_cast<int>(frame.id) < distance) continue;
      const FlowField* back = chain.Find(frame.id - distance);
      if (back == nullptr) return Fail("frame {} was forgotten too early", frame.id - distance);
      for (const auto& [rule, levels] : fresh) {
        auto& histogram = counts[{rule, distance}];
        histogram.resize(kMaxLevels, 0);
        const LevelMap carried = WarpLevels(levels[frame.id - distance], *back, regions);
        for (size_t r = 0; r < carried.size(); ++r) {
          ++histogram[std::abs(int{carried[r]} - int{levels[frame.id][r]})];
        }
      }
    }
  }
  std::string lines;
  for (const auto& [key, histogram] : counts) {
    const auto& [rule, distance] = key;
    double total = 0, below = 0;
    for (const int64_t n : histogram) total += static_cast<double>(n);
    for (int deviation = 0; deviation <= kMaxDeviation; ++deviation) {
      below += static_cast<double>(histogram[deviation]);
      lines += fmt::format("{},{},{},{},{},{:.5f}\n",
                           CsvField(bench.experiment().networks[network].name), CsvField(clip.name),
                           rule, distance, deviation, below / total);
    }
  }
  return lines;
}

}  // namespace stac
