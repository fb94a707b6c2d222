#pragma once

#include <filesystem>
#include <vector>

#include "stac/lab/gnuplot.h"
#include "stac/lab/simulation/simulate.h"

namespace stac {

// One plot per network and clip with a panel per network type: accuracy over delay, a small mark
// per trace and a large one for their mean (Fig. 12, 14, 16).
std::vector<Plot> AdaptationPlots(const std::vector<SimulatedRun>& runs);
// One plot per trace, network and clip with panels over time: bandwidth and bitrates, keyframe
// rates, base QPs, accuracy, from the second on that is scored (Fig. 13).
std::vector<Plot> CloseUpPlots(const std::vector<SimulatedRun>& runs, double skip_seconds);

// Draws the figure of a folder that Simulate wrote: figures/ and index.html.
Status DrawSimulation(const std::filesystem::path& folder);

}  // namespace stac
