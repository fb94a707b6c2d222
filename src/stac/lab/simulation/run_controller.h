#pragma once

#include <memory>
#include <vector>

#include "stac/adapt/segment_table.h"
#include "stac/lab/simulation/simulation_spec.h"

namespace stac {

// All rows of the segment tables of an experiment.
Result<std::vector<SegmentRow>> ReadTables(const std::vector<std::filesystem::path>& paths);

// The controller of one stream. Profiles are made from the rows of the system's name with this
// network: systems without a controller of their own get a profile for each network, as in the
// paper. A tuner's scale moves in steps, as on the device. Fails if there are no rows, or if
// weights cannot be read.
Result<std::unique_ptr<Controller>> MakeRunController(const SimulatedSystem& system,
                                                      const std::vector<SegmentRow>& table,
                                                      const std::string& network,
                                                      const StreamOptions& options);

}  // namespace stac
