#pragma once

#include <optional>

#include "stac/base/clock.h"

namespace stac {

// Times of a source's pictures from its first one, strictly increasing, by the stamps that they
// come with.
class PictureTimes {
 public:
  // `interval`: between two pictures, where stamps do not tell. `may_jump`: stamps may begin anew,
  // as where recordings are joined or a camera starts again; then a gap of more than ten seconds is
  // none.
  explicit PictureTimes(Micros interval = 1, bool may_jump = false)
      : interval_(interval), may_jump_(may_jump) {}

  // Of the next picture. `stamp`: from any origin; one of more than 9,000 years says nothing.
  Micros Next(std::optional<Micros> stamp);
  // Stamps began anew, so far.
  bool jumped() const { return jumped_; }

 private:
  Micros interval_;
  bool may_jump_;
  bool jumped_ = false;
  std::optional<Micros> origin_;  // the stamp of time 0
  std::optional<Micros> last_;    // time
};

}  // namespace stac
