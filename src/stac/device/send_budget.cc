#include "stac/device/send_budget.h"

#include <algorithm>
#include <cmath>

#include "stac/adapt/stepped_scale.h"

namespace stac {
namespace {

constexpr double kAheadSeconds = 0.25;

}  // namespace

void SendBudget::StartSegment(Micros now, double kbps) {
  start_ = now;
  kbps_ = kbps;
  spent_kb_ = 0;
}

bool SendBudget::Allows(Micros now, double base_qp, double scale) const {
  if (kbps_ <= 0 || spent_kb_ == 0) return true;
  const double elapsed = static_cast<double>(now - start_) / 1e6;
  double expected_kb = last_kb_ * std::exp2((last_qp_ - base_qp) / 6);
  if (scale != last_scale_) expected_kb *= BitsAtScale(scale) / BitsAtScale(last_scale_);
  return spent_kb_ + expected_kb <= kbps_ * std::min(1.0, elapsed + kAheadSeconds);
}

void SendBudget::OnCoded(size_t bytes, double base_qp, bool idr, double scale) {
  const double kilobits = static_cast<double>(bytes) * 8e-3;
  spent_kb_ += kilobits;
  if (idr) return;
  last_kb_ = kilobits;
  last_qp_ = base_qp;
  last_scale_ = scale;
}

}  // namespace stac
