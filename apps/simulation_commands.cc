#include <fmt/format.h>

#include <filesystem>
#include <memory>

#include "command.h"
#include "lab_commands.h"
#include "stac/base/file.h"
#include "stac/base/log.h"
#include "stac/base/progress.h"
#include "stac/lab/experiment_inputs.h"
#include "stac/lab/simulation/casva_training.h"
#include "stac/lab/simulation/content_table.h"
#include "stac/lab/simulation/run_controller.h"
#include "stac/lab/simulation/simulate.h"

namespace stac {
namespace {

namespace fs = std::filesystem;

void AddSimulate(CLI::App& app) {
  struct Options {
    fs::path spec;
    SimulateOptions simulate;
    bool quick = false, json = false;
  };
  auto options = std::make_shared<Options>();
  CLI::App* command = AddCommand(
      app, "simulate",
      "Streams over simulated links in virtual time: systems x network types x traces",
      "  stac simulate experiments/fig12.toml --out out/fig12 --quick\n"
      "  stac simulate experiments/fig12.toml --out out/fig12   # start again to go on\n"
      "  stac figures out/fig12",
      [options]() -> Status {
        STAC_ASSIGN_OR_RETURN(const SimulationSpec spec,
                              ReadSimulation(options->spec, options->quick));
        STAC_ASSIGN_OR_RETURN(const SimulateSummary summary,
                              Simulate(spec, options->simulate, ProductionTools(), stop_requested));
        if (summary.other_revision > 0) {
          spdlog::warn("{} streams come from another revision of the code; --redo runs them again",
                       summary.other_revision);
        }
        if (options->json) {
          fmt::print("[\n");
          for (size_t i = 0; i < summary.runs.size(); ++i) {
            fmt::print("{}{}", i > 0 ? "," : "", RunToJson(summary.runs[i]));
          }
          fmt::print("]\n");
          return OkStatus();
        }
        fmt::print("{}{} streams, {} run now; results in {}\n", SimulationTable(summary.runs),
                   summary.runs.size(), summary.measured, options->simulate.out.string());
        return OkStatus();
      });
  command->add_option("spec", options->spec, "experiment (TOML)")->required();
  command->add_option("--out", options->simulate.out, "folder for results")->required();
  command->add_option("--cache", options->simulate.cache,
                      "folder for reference labels, shared by experiments (default: OUT/cache)");
  command->add_option("--jobs", options->simulate.jobs, "worker processes")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  command->add_flag("--quick", options->quick, "the experiment's [quick] variant");
  command->add_flag("--redo", options->simulate.redo, "run streams of other code revisions again");
  command->add_flag("--json", options->json, "print the runs as JSON");
}

// Clips of an experiment, for looking at the seconds of a table.
Result<std::vector<Clip>> ClipsOf(const fs::path& experiment) {
  STAC_ASSIGN_OR_RETURN(const ExperimentSpec spec, ReadExperiment(experiment, false));
  return LoadClips(spec, ProductionTools());
}

void AddSegments(CLI::App& app) {
  struct Options {
    fs::path table, clips, output;
    std::string content;
  };
  auto options = std::make_shared<Options>();
  CLI::App* command = AddCommand(
      app, "segments",
      "Rewrites c and d of a segment table, to train tuners that see something else",
      "  stac segments out/sweep/segments.csv --content no-c --output no_c.csv\n"
      "  stac segments out/sweep/segments.csv --content preencoded --clips "
      "experiments/sweep.toml --output preencoded.csv",
      [options]() -> Status {
        STAC_ASSIGN_OR_RETURN(const ContentKind kind, ParseContentKind(options->content));
        STAC_ASSIGN_OR_RETURN(auto rows, ReadSegmentTable(options->table));
        std::vector<Clip> clips;
        if (kind == ContentKind::kPreencoded) {
          if (options->clips.empty()) {
            return Fail("pre-encoding needs the clips: --clips with the experiment of the sweep");
          }
          STAC_ASSIGN_OR_RETURN(clips, ClipsOf(options->clips));
        }
        STAC_ASSIGN_OR_RETURN(rows, WithContent(std::move(rows), kind, clips, ProductionTools()));
        STAC_RETURN_IF_ERROR(WriteFile(options->output, ToCsv(rows)));
        fmt::print("{} rows in {}\n", rows.size(), options->output.string());
        return OkStatus();
      });
  command->add_option("table", options->table, "segment table (CSV of stac sweep)")->required();
  command->add_option("--content", options->content, "content, no-c, no-d or preencoded")
      ->required();
  command->add_option("--clips", options->clips, "experiment that names the table's clips");
  command->add_option("--output", options->output, "table to write")->required();
}

struct CasvaOptions {
  fs::path spec, clips, output;
  std::string system = "casva", network;
  CasvaTrainingOptions training;
};

Status RunTrainCasva(const CasvaOptions& options) {
  constexpr double kTraceSeconds = 200;
  STAC_ASSIGN_OR_RETURN(const SimulationSpec spec, ReadSimulation(options.spec, false));
  STAC_ASSIGN_OR_RETURN(std::vector<SegmentRow> rows, ReadTables(spec.tables));
  const std::string network =
      options.network.empty() ? spec.experiment.networks.front().name : options.network;
  std::erase_if(rows, [&](const SegmentRow& row) {
    return row.system != options.system || row.network != network;
  });
  if (rows.empty()) {
    return Fail("the tables of {} have no rows of system {} with network {}", options.spec.string(),
                options.system, network);
  }
  STAC_ASSIGN_OR_RETURN(const auto clips, ClipsOf(options.clips));
  STAC_ASSIGN_OR_RETURN(
      rows, WithContent(std::move(rows), ContentKind::kPreencoded, clips, ProductionTools()));
  std::vector<Trace> traces;
  for (const NetworkType& type : spec.network_types) {
    STAC_ASSIGN_OR_RETURN(auto more,
                          LoadTraces(type, false, 0, kTraceSeconds, spec.experiment.seed));
    for (Trace& trace : more) traces.push_back(std::move(trace));
  }
  Progress progress("casva", options.training.episodes);
  CasvaTrainingReport report;
  STAC_ASSIGN_OR_RETURN(const CasvaPolicy policy,
                        TrainCasva(
                            rows, traces, options.training, &report,
                            [&](int done) { progress.Update(done); }, stop_requested));
  progress.Finish();
  const std::string origin =
      fmt::format("{} rows of system {} with network {}, {} traces, {} episodes of {} s, seed {}",
                  rows.size(), options.system, network, traces.size(), options.training.episodes,
                  options.training.episode_seconds, options.training.seed);
  STAC_RETURN_IF_ERROR(WriteFile(options.output, policy.ToJson(origin)));
  fmt::print("{} configurations; reward per second {:.4f} at first, {:.4f} at last\n{}\n",
             policy.actions().size(), report.first_reward, report.last_reward,
             options.output.string());
  return OkStatus();
}

void AddTrainCasva(CLI::App& train) {
  auto options = std::make_shared<CasvaOptions>();
  CLI::App* command =
      AddCommand(train, "casva", "Trains CASVA's controller in a simulator of tables",
                 "  stac train casva experiments/fig12.toml --clips experiments/sweep.toml "
                 "--output casva.json",
                 [options] { return RunTrainCasva(*options); });
  command->add_option("spec", options->spec, "experiment of stac simulate: tables and traces")
      ->required();
  command->add_option("--clips", options->clips, "experiment that names the tables' clips")
      ->required();
  command->add_option("--output", options->output, "weight file to write")->required();
  command->add_option("--system", options->system, "system in the tables")->capture_default_str();
  command->add_option("--network", options->network, "network in the tables (default: the first)");
  command->add_option("--episodes", options->training.episodes, "length of the training")
      ->check(CLI::Range(10, 10'000'000))
      ->capture_default_str();
  command->add_option("--seed", options->training.seed, "of weights and episodes")
      ->capture_default_str();
}

}  // namespace

void AddSimulationCommands(CLI::App& app) {
  AddSimulate(app);
  AddSegments(app);
  AddTrainCasva(*app.get_subcommand("train"));
}

}  // namespace stac
