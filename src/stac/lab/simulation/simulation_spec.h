#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "stac/adapt/trace.h"
#include "stac/lab/experiment_spec.h"
#include "stac/lab/simulation/stream_run.h"

namespace stac {

// A kind of network connection, as a set of traces.
struct NetworkType {
  std::string name;
  std::string path;  // a trace, a folder of traces (CSV), or "synthetic-wifi"
  // Each trace is cut to the length of the streams and scaled to this mean: the logs' own rates
  // lie far from those of small clips. 0: as it is.
  double mean_kbps = 0;
  int traces = 1;  // how many of the test traces are used
};
inline constexpr char kSyntheticWifi[] = "synthetic-wifi";

enum class ControllerKind {
  kFixed,    // what the experiment starts with
  kProfile,  // offline accuracy-bitrate profile, from the segment tables
  kTuner,    // section VI
  kCasva,    // reinforcement learning (casva_controller.h)
};

// A system with the controller that steers it.
struct SimulatedSystem {
  std::string name;
  SystemSpec spec;
  ControllerKind controller = ControllerKind::kFixed;
  std::filesystem::path weights;  // of kTuner and kCasva
  std::string profile;            // kProfile: the system's name in the segment tables
  double share = 1;               // of the bandwidth, that the controller is told
  double spare = 1;               // times the decided keyframes, where the link has room
  double coarser = 0;             // QP by which keyframes may be coded coarser than decided
  bool oracle = true;
  ContentKind content = ContentKind::kMetrics;
};

// What is drawn from the results.
enum class SimulationFigure {
  kAdaptation,  // accuracy over delay per network type (Fig. 12, 14, 16)
  kCloseUp,     // bandwidth, bitrate, frame rate and base QP over time (Fig. 13)
};

// An experiment of `stac simulate` as its TOML file describes it (docs/simulation.md).
struct SimulationSpec {
  ExperimentSpec experiment;  // name, title, seed, networks, clips, calibration, text
  SimulationFigure figure = SimulationFigure::kAdaptation;
  std::vector<std::filesystem::path> tables;  // segment tables
  std::vector<NetworkType> network_types;
  std::vector<SimulatedSystem> systems;
  StreamOptions options;    // oracle, spare, coarser and content are the system's
  double skip_seconds = 2;  // not scored
};

// `quick`: apply the [quick] table. Fails with the line, what is wrong there and what is allowed.
Result<SimulationSpec> ParseSimulation(std::string_view toml, const std::string& file_name,
                                       bool quick);
Result<SimulationSpec> ReadSimulation(const std::filesystem::path& path, bool quick);

// The traces of a type: the share of them that is for testing (30 %, drawn by `seed`), or the
// others, which controllers may be trained on. At most `count` (0: all), each `seconds` long, taken
// from the middle of its log.
Result<std::vector<Trace>> LoadTraces(const NetworkType& type, bool test, int count, double seconds,
                                      uint64_t seed);

}  // namespace stac
