#pragma once

#include <CLI/CLI.hpp>

namespace stac {

// evaluate, merge, compare and figures: the lab's experiments (docs/lab.md).
void AddLabCommands(CLI::App& app);

}  // namespace stac
