#pragma once

#include <vector>

#include "stac/lab/clip.h"
#include "stac/lab/experiment_spec.h"
#include "stac/lab/lab_tools.h"
#include "stac/lab/workbench.h"

namespace stac {

// What an experiment reads before anything is measured.

// All clips, in the order of the spec.
Result<std::vector<Clip>> LoadClips(const ExperimentSpec& experiment, const LabTools& tools);
// The [calibration] clip, or else the first frames of the first clip.
Result<CalibrationFrames> LoadCalibration(const ExperimentSpec& experiment,
                                          const std::vector<Clip>& clips, const LabTools& tools);
// Identities of the networks, known without loading them.
Status FillNetworkHashes(ExperimentSpec& experiment);

}  // namespace stac
