#include "stac/adapt/stepped_scale.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <utility>

#include "stac/base/check.h"

namespace stac {
namespace {

constexpr std::array<double, 3> kSteps = {1, 0.75, 0.5};

class SteppedScale final : public Controller {
 public:
  SteppedScale(std::unique_ptr<Controller> controller, const SteppedScaleOptions& options)
      : controller_(std::move(controller)), options_(options) {
    STAC_CHECK(controller_ != nullptr);
  }

  ControlDecision Decide(const ControlInput& input) override {
    ControlDecision decision = controller_->Decide(input);
    if (bandwidth_at_change_ <= 0) bandwidth_at_change_ = input.bandwidth_kbps;
    ++held_;
    // Who leaves the size alone need not like the steps.
    if (!scale_ && decision.scale == input.last_scale) return decision;
    // What lies beyond the steps is no wish that the QP could make up for: it would do so every
    // time.
    decision.scale = std::clamp(decision.scale, kSteps.back(), kSteps.front());
    if (!scale_) scale_ = NearestScaleStep(input.last_scale);
    const double wanted = NearestScaleStep(decision.scale);
    const bool fell =
        wanted < *scale_ && input.bandwidth_kbps < options_.sharp_fall * bandwidth_at_change_;
    if (wanted != *scale_ && (held_ >= options_.hold || fell)) {
      scale_ = wanted;
      held_ = 0;
      bandwidth_at_change_ = input.bandwidth_kbps;
    }
    if (decision.scale != *scale_) {
      decision.base_qp += 6 * std::log2(BitsAtScale(*scale_) / BitsAtScale(decision.scale));
      decision.scale = *scale_;
    }
    return decision;
  }

 private:
  std::unique_ptr<Controller> controller_;
  SteppedScaleOptions options_;
  std::optional<double> scale_;
  int held_ = 0;                    // decisions since the last change
  double bandwidth_at_change_ = 0;  // of the first decision, before there was a change
};

}  // namespace

double BitsAtScale(double scale) { return scale * scale; }

double NearestScaleStep(double scale) {
  double nearest = kSteps[0];
  for (const double step : kSteps) {
    if (std::abs(std::log2(scale / step)) < std::abs(std::log2(scale / nearest))) nearest = step;
  }
  return nearest;
}

std::unique_ptr<Controller> MakeSteppedScale(std::unique_ptr<Controller> controller,
                                             const SteppedScaleOptions& options) {
  return std::make_unique<SteppedScale>(std::move(controller), options);
}

}  // namespace stac
