#include "stac/device/send_budget.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "stac/adapt/stepped_scale.h"

namespace stac {
namespace {

constexpr double kAheadSeconds = 0.25;
// A keyframe's bits are known to some 30 %, and it is a tenth to a third of its second's.
constexpr double kDoubt = 0.3;

}  // namespace

void SendBudget::StartSegment(Micros now, double kbps) {
  start_ = now;
  kbps_ = kbps;
  spent_kb_ = 0;
}

double SendBudget::CoarserBy(double base_qp, double scale, double rate) const {
  if (kbps_ <= 0 || last_kb_ <= 0 || rate <= 0) return 0;
  return std::max(0.0, 6 * std::log2(ExpectedKb(base_qp, scale) * rate / kbps_));
}

bool SendBudget::Allows(Micros now, double base_qp, double scale) const {
  if (kbps_ <= 0 || spent_kb_ == 0) return true;
  const double elapsed = static_cast<double>(now - start_) / 1e6;
  const double expected_kb = ExpectedKb(base_qp, scale);
  return spent_kb_ + expected_kb <= kbps_ * (elapsed + kAheadSeconds) &&
         spent_kb_ + (1 + kDoubt) * expected_kb <= kbps_;
}

double SendBudget::ExpectedKb(double base_qp, double scale) const {
  const double at_last_scale = last_kb_ * std::exp2((last_qp_ - base_qp) / 6);
  return scale == last_scale_ ? at_last_scale
                              : at_last_scale * BitsAtScale(scale) / BitsAtScale(last_scale_);
}

void SendBudget::OnCoded(size_t bytes, double base_qp, bool idr, double scale) {
  const double kilobits = static_cast<double>(bytes) * 8e-3;
  spent_kb_ += kilobits;
  // An IDR says nothing about the next keyframe, unless all are coded alone.
  if (idr && !std::exchange(last_was_idr_, true)) return;
  last_was_idr_ = idr;
  // Keyframes differ by turns: half of what is expected comes from those before.
  last_kb_ = last_kb_ > 0 ? (kilobits + ExpectedKb(base_qp, scale)) / 2 : kilobits;
  last_qp_ = base_qp;
  last_scale_ = scale;
}

}  // namespace stac
