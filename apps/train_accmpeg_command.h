#pragma once

#include <CLI/CLI.hpp>

namespace stac {

// stac train accmpeg: AccMPEG's on-device network, for the lab's baseline of that name.
void AddTrainAccMpegCommand(CLI::App& train);

}  // namespace stac
