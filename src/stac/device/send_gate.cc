#include "stac/device/send_gate.h"

#include <algorithm>

namespace stac {

bool SendGate::MayCode(Micros now, const ControlDecision& decision, const LinkStats& stats,
                       std::optional<double> link_kbps) const {
  if (options_.hold_to_bandwidth && !budget_.Allows(now, decision.base_qp, decision.scale)) {
    return false;
  }
  if (options_.max_backlog_ms <= 0 || !link_kbps) return true;
  const double backlog_ms = static_cast<double>(stats.unsent_bytes) * 8 / std::max(*link_kbps, 1.0);
  // What has arrived is known a round trip later.
  return backlog_ms <= options_.max_backlog_ms + stats.rtt_ms;
}

}  // namespace stac
