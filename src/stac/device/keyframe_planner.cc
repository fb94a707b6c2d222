#include "stac/device/keyframe_planner.h"

#include <algorithm>
#include <cmath>

#include "stac/base/check.h"
#include "stac/codec/qp_plan.h"

namespace stac {

namespace {

int MacroblocksIn(int samples) { return (samples + kMacroblock - 1) / kMacroblock; }

}  // namespace

KeyframePlanner::KeyframePlanner(const PlannerOptions& options, int width, int height)
    : options_(options),
      regions_{.frame_width = width,
               .frame_height = height,
               .region_size =
                   options.region_size > 0 ? options.region_size : RegionSizeFor(width, height)},
      ladder_(32, 10, kMaxQp) {
  STAC_CHECK(options.region_size >= 0 && options.region_size % kMacroblock == 0);
}

// (x, y): a place in the frame at full size.
float KeyframePlanner::QpAt(const LevelMap& levels, double x, double y) const {
  const double u = x / regions_.region_size - 0.5, v = y / regions_.region_size - 0.5;
  const int i = static_cast<int>(std::floor(u)), j = static_cast<int>(std::floor(v));
  const double a = u - i, b = v - j;
  const auto qp = [&](int column, int row) { return ladder_.Qp(levels.Clamped(column, row)); };
  return static_cast<float>((1 - b) * ((1 - a) * qp(i, j) + a * qp(i + 1, j)) +
                            b * ((1 - a) * qp(i, j + 1) + a * qp(i + 1, j + 1)));
}

QpMap KeyframePlanner::Plan(const Frame& frame, const LevelMap* levels, double base_qp,
                            double levels_base_qp) const {
  const double uniform = options_.middle_level_first ? ladder_.Qp(ladder_.middle())
                                                     : base_qp + options_.first_frame_offset;
  Grid<float> wanted(MacroblocksIn(frame.width()), MacroblocksIn(frame.height()),
                     static_cast<float>(uniform));
  if (levels != nullptr) {
    STAC_CHECK(levels->SameSize(regions_.columns(), regions_.rows()));
    const double shift = base_qp - levels_base_qp;
    const double to_full_x = static_cast<double>(regions_.frame_width) / frame.width();
    const double to_full_y = static_cast<double>(regions_.frame_height) / frame.height();
    for (int y = 0; y < wanted.height(); ++y) {
      for (int x = 0; x < wanted.width(); ++x) {
        wanted(x, y) = QpAt(*levels, (x + 0.5) * kMacroblock * to_full_x,
                            (y + 0.5) * kMacroblock * to_full_y) +
                       static_cast<float>(shift);
      }
    }
  }
  return PlanWanted(frame, std::move(wanted));
}

QpMap KeyframePlanner::PlanWanted(const Frame& frame, Grid<float> wanted_qp) const {
  STAC_CHECK(wanted_qp.SameSize(MacroblocksIn(frame.width()), MacroblocksIn(frame.height())));
  if (options_.aq_strength > 0) {
    const Grid<float> aq = VarianceAqOffsets(frame, options_.aq_strength);
    for (size_t i = 0; i < wanted_qp.size(); ++i) wanted_qp[i] += aq[i];
  }
  if (options_.codec == VideoCodec::kH265) return RoundedQp(wanted_qp);
  double sum = 0;
  for (const float qp : wanted_qp) sum += std::clamp(qp, 1.0f, float(kMaxQp));
  const int anchor = static_cast<int>(std::lround(sum / static_cast<double>(wanted_qp.size())));
  return SnapToParity(wanted_qp, anchor);
}

}  // namespace stac
