#include "stac/quant/level_ladder.h"

#include <algorithm>
#include <cmath>

#include "stac/base/check.h"
#include "stac/video/maps.h"

namespace stac {

LevelLadder::LevelLadder(int count, double min_qp, double max_qp)
    : count_(count), min_qp_(min_qp), max_qp_(max_qp) {
  STAC_CHECK_GE(count, 2);
  STAC_CHECK_LE(count, kMaxLevels);
  STAC_CHECK_LT(min_qp, max_qp);
  STAC_CHECK(min_qp >= 0 && max_qp <= kMaxQp);
}

double LevelLadder::Qp(int level) const {
  STAC_CHECK(level >= 0 && level < count_);
  return min_qp_ + (max_qp_ - min_qp_) * level / (count_ - 1);
}

int LevelLadder::NearestLevel(double qp) const {
  if (!(qp > min_qp_)) return 0;  // also for NaN: the finest level is the safe one
  if (qp >= max_qp_) return count_ - 1;
  const double position = (qp - min_qp_) / (max_qp_ - min_qp_) * (count_ - 1);
  // Half-way cases go to the finer level, as in Algorithm 1.
  return std::clamp(static_cast<int>(std::ceil(position - 0.5)), 0, count_ - 1);
}

double StepOfQp(double qp) { return 0.625 * std::exp2(qp / 6); }

}  // namespace stac
