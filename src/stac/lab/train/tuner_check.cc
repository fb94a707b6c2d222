#include "stac/lab/train/tuner_check.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <random>
#include <tuple>

namespace stac {
namespace {

struct Outcome {
  double log2_kbps = 0;
  double accuracy = 0;
};
Outcome Mix(const Outcome& a, const Outcome& b, double share) {
  return {std::lerp(a.log2_kbps, b.log2_kbps, share), std::lerp(a.accuracy, b.accuracy, share)};
}

// Piecewise linear over a sorted map, constant outside.
template <typename Value, typename At>
Outcome Between(const std::map<double, Value>& map, double x, At&& at) {
  const auto above = map.lower_bound(x);
  if (above == map.end()) return at(std::prev(above)->second);
  if (above == map.begin()) return at(above->second);
  const auto below = std::prev(above);
  return Mix(at(below->second), at(above->second),
             (x - below->first) / (above->first - below->first));
}

// One measured second.
struct Second {
  using ByQp = std::map<double, Outcome>;
  // By log2 of the scale, log2 of the rate, and QP.
  std::map<double, std::map<double, ByQp>> outcomes;
  std::vector<SegmentRow> best;  // FilterSegments
  double c = 0, d = 0;

  Outcome At(const ControlDecision& decision) const {
    return Between(outcomes, std::log2(decision.scale), [&](const auto& of_scale) {
      return Between(of_scale, std::log2(decision.keyframe_fps), [&](const ByQp& of_rate) {
        return Between(of_rate, decision.base_qp, [](const Outcome& outcome) { return outcome; });
      });
    });
  }
};
using ClipSeconds = std::vector<Second>;

std::vector<ClipSeconds> Arrange(const std::vector<SegmentRow>& rows, SegmentBits bits) {
  std::map<std::tuple<std::string, std::string, std::string>, std::map<int, Second>> clips;
  for (const SegmentRow& row : rows) {
    if (row.segment == 0 || !(KbpsOf(row, bits) > 0)) continue;
    Second& second = clips[{row.system, row.network, row.clip}][row.segment];
    const ControlDecision& at = row.configuration;
    second.outcomes[std::log2(at.scale)][std::log2(at.keyframe_fps)][at.base_qp] = {
        std::log2(KbpsOf(row, bits)), row.accuracy};
    second.best.push_back(row);
    second.c = row.c;
    second.d = row.d;
  }
  std::vector<ClipSeconds> arranged;
  for (auto& [name, seconds] : clips) {
    ClipSeconds& clip = arranged.emplace_back();
    for (auto& [number, second] : seconds) {
      second.best = FilterSegments(std::move(second.best), bits);
      clip.push_back(std::move(second));
    }
  }
  return arranged;
}

}  // namespace

ControllerScore ScoreController(Controller& controller, const std::vector<SegmentRow>& rows,
                                SegmentBits bits, int seconds, uint64_t seed) {
  std::mt19937_64 random(seed);
  ControllerScore score;
  for (const ClipSeconds& clip : Arrange(rows, bits)) {
    const auto count = static_cast<int>(clip.size());
    ControlDecision last = clip.front().best[clip.front().best.size() / 2].configuration;
    for (int i = 1; i <= seconds; ++i) {
      // 0 1 2 1 0 1 ...
      const auto at = [&](int t) -> const Second& {
        const int around = count > 1 ? t % (2 * count - 2) : 0;
        return clip[std::min(around, 2 * count - 2 - around)];
      };
      const Second &before = at(i - 1), &now = at(i);
      const double uniform = static_cast<double>(random() >> 11) * 0x1p-53;
      const double bandwidth =
          std::exp2(std::lerp(std::log2(KbpsOf(now.best.front(), bits)),
                              std::log2(KbpsOf(now.best.back(), bits)), uniform));
      const ControlDecision decision =
          controller.Decide({.last_kbps = std::exp2(before.At(last).log2_kbps),
                             .bandwidth_kbps = bandwidth,
                             .last_base_qp = last.base_qp,
                             .last_keyframe_fps = last.keyframe_fps,
                             .last_scale = last.scale,
                             .c = before.c,
                             .d = before.d});
      const Outcome outcome = now.At(decision);
      const double kbps = std::exp2(outcome.log2_kbps);
      double best = 0;
      for (const SegmentRow& row : now.best) {
        if (KbpsOf(row, bits) <= bandwidth) best = row.accuracy;
      }
      score.accuracy += outcome.accuracy;
      score.best_accuracy += best;
      score.use += std::min(kbps, bandwidth) / bandwidth;
      score.overshoot += kbps > bandwidth ? 1 : 0;
      score.miss_octaves += std::abs(std::log2(kbps / bandwidth));
      ++score.seconds;
      last = decision;
    }
  }
  if (score.seconds > 0) {
    for (double* mean : {&score.accuracy, &score.best_accuracy, &score.use, &score.overshoot,
                         &score.miss_octaves}) {
      *mean /= score.seconds;
    }
  }
  return score;
}

}  // namespace stac
