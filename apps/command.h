#pragma once

#include <CLI/CLI.hpp>
#include <atomic>
#include <functional>
#include <string>

#include "stac/base/result.h"

namespace stac {

// Set by SIGINT and SIGTERM: commands finish what they are doing and end cleanly.
extern std::atomic<bool> stop_requested;

// Adds one subcommand. `run` is called after parsing; its error becomes the program's only line on
// standard error and exit code 1.
using RunCommand = std::function<Status()>;
CLI::App* AddCommand(CLI::App& app, const std::string& name, const std::string& description,
                     const std::string& examples, RunCommand run);

// Each registers its subcommand with its options.
void AddBenchCommand(CLI::App& app);
void AddCalibrateCommand(CLI::App& app);
void AddDemoCommand(CLI::App& app);
void AddDeviceCommand(CLI::App& app);
void AddInspectCommand(CLI::App& app);
void AddServerCommand(CLI::App& app);
void AddTrainCommand(CLI::App& app);

}  // namespace stac
