#include <algorithm>
#include <cmath>

#include "stac/allocate/rules.h"
#include "stac/allocate/sensitivity.h"
#include "stac/codec/qp_plan.h"
#include "stac/lab/analysis_internal.h"
#include "stac/lab/result_row.h"

namespace stac {
namespace {

constexpr int kFrames = 2;
constexpr double kBaseQps[] = {26, 31, 36, 41};
constexpr int kRegion = 32;
constexpr int kSweeps = 2;
constexpr float kStep = 4;
constexpr float kReach = 12;  // of an offset
constexpr double kAq = 0.6;

// What an allocation costs and how much of the picture the network then sees wrong.
struct Outcome {
  double bits = 0;
  double wrong = 0;  // pixels
  Frame decoded;
};

// Codes one picture again and again, as a single picture.
class Trial {
 public:
  Trial(const Frame& frame, const LabelMap& truth, Segmenter& segmenter, VideoEncoder& encoder)
      : frame_(frame),
        truth_(truth),
        segmenter_(segmenter),
        encoder_(encoder),
        aq_(VarianceAqOffsets(frame, kAq)) {}

  // offsets: of each region's QP from `base_qp`.
  Result<Outcome> Try(double base_qp, const Grid<float>& offsets) {
    Grid<float> wanted(aq_.width(), aq_.height());
    for (int y = 0; y < wanted.height(); ++y) {
      for (int x = 0; x < wanted.width(); ++x) {
        wanted(x, y) = static_cast<float>(base_qp) + aq_(x, y) +
                       offsets(x * kMacroblock / kRegion, y * kMacroblock / kRegion);
      }
    }
    const QpMap plan = SnapToParity(wanted, static_cast<int>(std::lround(base_qp)));
    STAC_ASSIGN_OR_RETURN(EncodedFrame coded, encoder_.Encode(frame_, &plan, true));
    STAC_ASSIGN_OR_RETURN(const Segmentation seen, segmenter_.Run(coded.reconstruction));
    Outcome outcome{.bits = 8.0 * static_cast<double>(coded.access_unit.size()),
                    .decoded = std::move(coded.reconstruction)};
    for (size_t i = 0; i < truth_.size(); ++i) {
      outcome.wrong += seen.labels.data()[i] != truth_.data()[i];
    }
    return outcome;
  }

  // Our rule, from what the server would know: the uniformly coded picture.
  Result<Grid<float>> RuleOffsets(const Frame& decoded, const RegionGrid& regions) {
    STAC_ASSIGN_OR_RETURN(
        const Segmentation result,
        segmenter_.RunWithGradient(decoded, {.kind = ObjectiveKind::kFakeLabelLoss}));
    const LevelLadder ladder(kMaxLevels, 10, 51);
    constexpr double kMiddle = 30;
    const LevelMap levels =
        PowerLevels(RegionSensitivity(result.gradients, regions), kMiddle, {}, ladder);
    Grid<float> offsets(levels.width(), levels.height());
    for (size_t i = 0; i < levels.size(); ++i) {
      offsets.data()[i] = static_cast<float>(ladder.Qp(levels.data()[i]) - kMiddle);
    }
    return offsets;
  }

 private:
  const Frame& frame_;
  const LabelMap& truth_;
  Segmenter& segmenter_;
  VideoEncoder& encoder_;
  Grid<float> aq_;
};

// Changes one region at a time as long as bits + price * wrong pixels falls.
Result<Outcome> Search(Trial& trial, double base_qp, double price, Outcome best,
                       Grid<float> offsets) {
  const auto cost = [price](const Outcome& o) { return o.bits + price * o.wrong; };
  for (int sweep = 0; sweep < kSweeps; ++sweep) {
    for (float& offset : offsets) {
      for (const float direction : {kStep, -kStep}) {
        bool better = false;
        while (std::abs(offset + direction) <= kReach) {
          offset += direction;
          STAC_ASSIGN_OR_RETURN(Outcome outcome, trial.Try(base_qp, offsets));
          if (cost(outcome) >= cost(best)) {
            offset -= direction;
            break;
          }
          best = std::move(outcome);
          better = true;
        }
        if (better) break;
      }
    }
  }
  return best;
}

}  // namespace

Result<std::string> AllocationBoundLines(Workbench& bench, size_t network, size_t clip_index,
                                         const LabTools& tools) {
  const Clip& clip = bench.clips()[clip_index];
  STAC_ASSIGN_OR_RETURN(Segmenter * segmenter, bench.Network(network));
  STAC_ASSIGN_OR_RETURN(const auto* reference, bench.Reference(network, clip_index));
  const RegionGrid regions{
      .frame_width = clip.width(), .frame_height = clip.height(), .region_size = kRegion};
  STAC_ASSIGN_OR_RETURN(const auto encoder,
                        tools.make_encoder({.width = clip.width(),
                                            .height = clip.height(),
                                            .fps = clip.fps,
                                            .color = clip.frames.front().color(),
                                            .keyint_max = 1,
                                            .want_reconstruction = true}));
  const Grid<float> none(regions.columns(), regions.rows(), 0.0f);
  const double pixels = double{1} * clip.width() * clip.height();
  std::string lines;
  for (int i = 0; i < kFrames; ++i) {
    const Frame& frame = clip.frames[i * clip.frames.size() / kFrames];
    Trial trial(frame, (*reference)[frame.id], *segmenter, *encoder);
    const auto add = [&](const char* rule, double base_qp, const Outcome& outcome) {
      lines += fmt::format("{},{},{},{},{},{:.0f},{:.6f}\n",
                           CsvField(bench.experiment().networks[network].name), CsvField(clip.name),
                           frame.id, rule, base_qp, outcome.bits, 1 - outcome.wrong / pixels);
    };
    for (const double base_qp : kBaseQps) {
      STAC_ASSIGN_OR_RETURN(const Outcome uniform, trial.Try(base_qp, none));
      STAC_ASSIGN_OR_RETURN(const Outcome coarser, trial.Try(base_qp + 4, none));
      STAC_ASSIGN_OR_RETURN(const Grid<float> offsets, trial.RuleOffsets(uniform.decoded, regions));
      STAC_ASSIGN_OR_RETURN(const Outcome rule, trial.Try(base_qp, offsets));
      add("uniform", base_qp, uniform);
      add("rule", base_qp, rule);
      // A wrong pixel costs what the uniform picture saves for one.
      const double price =
          (uniform.bits - coarser.bits) / std::max(coarser.wrong - uniform.wrong, pixels / 1000);
      STAC_ASSIGN_OR_RETURN(const Outcome found, Search(trial, base_qp, price, uniform, none));
      add("search", base_qp, found);
    }
  }
  return lines;
}

}  // namespace stac
