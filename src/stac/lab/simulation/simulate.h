#pragma once

#include <atomic>
#include <filesystem>
#include <vector>

#include "stac/lab/lab_tools.h"
#include "stac/lab/simulation/simulation_spec.h"

namespace stac {

struct SimulateOptions {
  std::filesystem::path out;    // adaptation.csv, runs.csv, seconds.csv, spec.toml, runs/
  std::filesystem::path cache;  // empty: out/cache. Reference labels and the like
  int jobs = 2;                 // worker processes
  bool redo = false;            // run again what is there from another code revision
};

// One finished stream.
struct SimulatedRun {
  std::string system, network_type, trace, network, clip;
  std::string revision;  // of the code that ran it
  StreamSummary summary;
  std::vector<SecondOutcome> seconds;
};

struct SimulateSummary {
  int measured = 0;        // now; the others were there already
  int other_revision = 0;  // kept from another code revision
  std::vector<SimulatedRun> runs;
};

// Runs systems x network types x test traces x networks x clips, in parallel processes; each stream
// is a file in out/runs, found again by everything that decides its numbers, so a killed run goes
// on where it was. Without measured times the same spec gives the same numbers on one machine.
Result<SimulateSummary> Simulate(const SimulationSpec& spec, const SimulateOptions& options,
                                 const LabTools& tools, const std::atomic<bool>& stop);

// system,network_type,trace,network,clips,pa,delay_p50_ms,delay_p99_ms,use_percent,
// overshoot_percent
std::string AdaptationCsv(const std::vector<SimulatedRun>& runs);
// The same numbers and those that only this project's table has.
std::string RunsCsv(const std::vector<SimulatedRun>& runs);
// A line per second of each run.
std::string SecondsCsv(const std::vector<SimulatedRun>& runs);
// Means over traces and clips, one line per system, network type and network, for reading.
std::string SimulationTable(const std::vector<SimulatedRun>& runs);

// A run as JSON text and back (runs/KEY.json). Untrusted.
std::string RunToJson(const SimulatedRun& run);
Result<SimulatedRun> RunFromJson(std::string_view json);

}  // namespace stac
