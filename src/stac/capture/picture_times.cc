#include "stac/capture/picture_times.h"

#include <cstdlib>

namespace stac {
namespace {

constexpr Micros kLargestGap = 10'000'000;
// Files may say anything; differences of such stamps do not overflow.
constexpr Micros kMostStamp = Micros{1} << 58;

}  // namespace

Micros PictureTimes::Next(std::optional<Micros> stamp) {
  const Micros expected = last_ ? *last_ + interval_ : 0;
  Micros time = expected;
  if (stamp && *stamp >= -kMostStamp && *stamp <= kMostStamp) {
    if (!origin_) origin_ = *stamp - expected;
    if (may_jump_ && last_ && std::abs(*stamp - *origin_ - *last_) > kLargestGap) {
      origin_ = *stamp - expected;
      jumped_ = true;
    }
    time = *stamp - *origin_;
  }
  if (last_ && time <= *last_) time = expected;
  last_ = time;
  return time;
}

}  // namespace stac
