#pragma once

#include <atomic>
#include <functional>
#include <vector>

#include "stac/adapt/segment_table.h"
#include "stac/adapt/trace.h"
#include "stac/lab/simulation/casva_controller.h"

namespace stac {

struct CasvaTrainingOptions {
  int episodes = 6000;
  int episode_seconds = 20;
  double rate = 1e-3;  // of learning, falling to a tenth
  double discount = 0.7;
  double entropy = 0.02;  // weight of the bonus, falling to nothing
  // Reward of a second: accuracy less this times what was coded beyond the bandwidth and did not
  // get through, as a share of the bandwidth (at most 1). What is left over waits for the next one.
  double overshoot_weight = 0.5;
  uint64_t seed = 1;
};

struct CasvaTrainingReport {
  double first_reward = 0;  // mean per second of the first and the last tenth of the episodes
  double last_reward = 0;
};

// Trains CASVA's policy by advantage actor-critic (Mnih et al. 2016) in a simulator of tables: a
// second of a clip coded with a configuration has the measured accuracy and bits, the uplink is a
// trace. `rows`: of one system and network, with c and d as ContentKind::kPreencoded, the first
// second of each clip is left out (it carries the IDR); configurations that are not in every second
// are left out. Fails if nothing is left. `progress` is called now and then with episodes done.
Result<CasvaPolicy> TrainCasva(const std::vector<SegmentRow>& rows,
                               const std::vector<Trace>& traces,
                               const CasvaTrainingOptions& options, CasvaTrainingReport* report,
                               const std::function<void(int)>& progress,
                               const std::atomic<bool>& stop);

}  // namespace stac
