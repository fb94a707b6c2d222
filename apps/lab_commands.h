#pragma once

#include <CLI/CLI.hpp>

#include "stac/lab/lab_tools.h"

namespace stac {

// The implementations that experiments run with.
LabTools ProductionTools();

// evaluate, merge, compare and figures: the lab's experiments (docs/lab.md).
void AddLabCommands(CLI::App& app);

// simulate, segments and train casva (docs/simulation.md). After AddTrainCommand.
void AddSimulationCommands(CLI::App& app);

}  // namespace stac
