#include "lab_commands.h"

#include <fmt/format.h>

#include <charconv>
#include <filesystem>
#include <memory>

#include "command.h"
#include "stac/base/file.h"
#include "stac/base/log.h"
#include "stac/codec/jpeg_codec.h"
#include "stac/lab/accmpeg/macroblock_scorer.h"
#include "stac/lab/comparison.h"
#include "stac/lab/evaluate.h"
#include "stac/lab/figures.h"
#include "stac/lab/result_folder.h"
#include "stac/lab/simulation/simulation_figures.h"
#include "stac/lab/system_spec.h"
#include "video_encoder.h"

namespace stac {

LabTools ProductionTools() {
  LabTools tools;
  tools.open_source = OpenSource;
  tools.load_network = LoadSegmenter;
  tools.load_scorer = LoadMacroblockScorer;
  tools.make_flow = [] { return MakeDisFlow({}); };
  tools.make_encoder = MakeVideoEncoder;
  tools.make_decoder = [](const DecoderOptions& options) { return MakeVideoDecoder(options); };
  tools.jpeg.encode = EncodeJpeg;
  tools.jpeg.decode = [](ByteSpan bytes, ColorSpec color) { return DecodeJpeg(bytes, color); };
  return tools;
}

namespace {

namespace fs = std::filesystem;

// "2/5": the second of five parts.
Status ParseShard(const std::string& text, EvaluateOptions& options) {
  const char* end = text.data() + text.size();
  const auto first = std::from_chars(text.data(), end, options.shard);
  if (first.ec == std::errc() && first.ptr != end && *first.ptr == '/') {
    const auto second = std::from_chars(first.ptr + 1, end, options.shards);
    if (second.ec == std::errc() && second.ptr == end && options.shard >= 1 &&
        options.shard <= options.shards) {
      return OkStatus();
    }
  }
  return Fail("--shard is '{}'; write i/n with 1 <= i <= n, for example 2/5", text);
}

struct RunOptions {
  std::string spec, shard = "1/1";
  EvaluateOptions evaluate;
  bool quick = false;
};

Status RunExperiment(RunOptions& options) {
  STAC_RETURN_IF_ERROR(ParseShard(options.shard, options.evaluate));
  STAC_ASSIGN_OR_RETURN(const ExperimentSpec spec, ReadExperiment(options.spec, options.quick));
  STAC_ASSIGN_OR_RETURN(const EvaluateSummary summary,
                        Evaluate(spec, options.evaluate, ProductionTools(), stop_requested));
  if (summary.other_revision > 0) {
    spdlog::warn("{} points come from another revision of the code; --redo measures them again",
                 summary.other_revision);
  }
  fmt::print("{} points, {} measured now", summary.points, summary.measured);
  if (summary.necessary_share > 0) {
    fmt::print("; {:.1f} % of their time was encoding, decoding and networks",
               100 * summary.necessary_share);
  }
  fmt::print("\nresults in {}\n", options.evaluate.out.string());
  return OkStatus();
}

void AddRunOptions(CLI::App& command, RunOptions& options) {
  command.add_option("spec", options.spec, "experiment (TOML)")->required();
  command.add_option("--out", options.evaluate.out, "folder for results")->required();
  command.add_option("--cache", options.evaluate.cache,
                     "folder for reference labels, shared by experiments (default: OUT/cache)");
  command.add_option("--jobs", options.evaluate.jobs, "worker processes")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  command.add_option("--shard", options.shard, "i/n: measure only the i-th of n parts");
  command.add_flag("--quick", options.quick, "the experiment's [quick] variant");
  command.add_flag("--redo", options.evaluate.redo, "measure points of other code revisions again");
}

void AddEvaluate(CLI::App& app) {
  auto options = std::make_shared<RunOptions>();
  CLI::App* command = AddCommand(
      app, "evaluate", "Runs an experiment: systems x networks x clips x knobs",
      "  stac evaluate experiments/fig11.toml --out out/fig11 --quick\n"
      "  stac evaluate experiments/fig11.toml --out part2 --shard 2/8   # one job of an array",
      [options] { return RunExperiment(*options); });
  AddRunOptions(*command, *options);
  command->add_flag_callback(
      "--systems",
      [] {
        fmt::print("{}", DescribeSystems());
        throw CLI::Success();
      },
      "list the kinds of systems with all their settings, and do nothing else");
}

void AddSweep(CLI::App& app) {
  auto options = std::make_shared<RunOptions>();
  options->evaluate.per_second = true;
  CLI::App* command = AddCommand(
      app, "sweep",
      "Measures every configuration on every second of clips: what tuners are trained from",
      "  stac sweep experiments/sweep.toml --out out/sweep --quick\n"
      "  stac train tuner --table out/sweep/segments.csv --output tuner.json",
      [options]() -> Status {
        STAC_RETURN_IF_ERROR(RunExperiment(*options));
        const fs::path path = options->evaluate.out / "segments.csv";
        if (!fs::exists(path)) return OkStatus();  // a shard without points
        STAC_ASSIGN_OR_RETURN(const auto rows, ReadSegmentTable(path));
        const size_t kept = FilterSegments(rows, SegmentBits::kUplink).size();
        fmt::print("{} rows in {}; {} of them are beaten by none of their second\n", rows.size(),
                   path.string(), kept);
        return OkStatus();
      });
  AddRunOptions(*command, *options);
}

void AddMerge(CLI::App& app) {
  struct Options {
    fs::path out;
    std::vector<fs::path> folders;
  };
  auto options = std::make_shared<Options>();
  CLI::App* command = AddCommand(
      app, "merge", "Joins the results of shards", "  stac merge all part1 part2 part3",
      [options]() -> Status {
        STAC_ASSIGN_OR_RETURN(const MergedPoints merged,
                              MergeResults(options->folders, options->out));
        STAC_ASSIGN_OR_RETURN(const Bytes spec, ReadFile(options->folders.front() / "spec.toml"));
        STAC_RETURN_IF_ERROR(WriteFile(options->out / "spec.toml", spec));
        STAC_RETURN_IF_ERROR(WriteResultFiles(options->out));
        fmt::print("{} points added to {}\n", merged.added, options->out.string());
        if (merged.of_other_code > 0) {
          spdlog::warn(
              "{} points were there already, measured by another revision, and stay as they are: "
              "merge into a new folder to take those of the folders named first",
              merged.of_other_code);
        }
        return OkStatus();
      });
  command->add_option("out", options->out, "folder for the joined results")->required();
  command->add_option("folders", options->folders, "folders of the shards")->required();
}

void AddCompare(CLI::App& app) {
  struct Options {
    fs::path folder, csv;
    std::vector<std::string> references, systems;
    std::string rate = "total";
  };
  auto options = std::make_shared<Options>();
  CLI::App* command = AddCommand(
      app, "compare", "Compares curves: BD-rate, savings at equal accuracy, gains at equal bitrate",
      "  stac compare out/fig11 --reference h264\n"
      "  stac compare out/fig11 --reference h264 --reference casva --system stac --csv "
      "headline.csv",
      [options]() -> Status {
        STAC_ASSIGN_OR_RETURN(const RateKind rate, ParseRateKind(options->rate));
        STAC_ASSIGN_OR_RETURN(const auto rows, ReadResults(options->folder));
        std::vector<ComparisonRow> all;
        for (const std::string& reference : options->references) {
          STAC_ASSIGN_OR_RETURN(const auto compared,
                                CompareSystems(rows, reference, rate, options->systems));
          fmt::print("against {} ({} bits; negative BD-rate: fewer bits than {})\n{}\n", reference,
                     options->rate, reference, ComparisonTable(compared));
          all.insert(all.end(), compared.begin(), compared.end());
        }
        const fs::path csv = options->csv.empty() ? options->folder / "compare.csv" : options->csv;
        return WriteFile(csv, ComparisonCsv(all));
      });
  command->add_option("folder", options->folder, "folder of an experiment's results")->required();
  command->add_option("--reference", options->references, "system to compare with; repeatable")
      ->required();
  command->add_option("--system", options->systems, "only these systems; repeatable");
  command->add_option("--rate", options->rate, "bits that count: total, uplink or video")
      ->capture_default_str();
  command->add_option("--csv", options->csv, "table as CSV (default: FOLDER/compare.csv)");
}

void AddFigures(CLI::App& app) {
  auto options = std::make_shared<FigureOptions>();
  CLI::App* command = AddCommand(
      app, "figures", "Draws an experiment's figure as SVG, PNG and one HTML page",
      "  stac figures out/fig11", [options]() -> Status {
        const bool simulated = fs::exists(options->folder / "runs");
        if (simulated && !options->reference.empty())
          return Fail("a simulation's page compares with no --reference: leave it out");
        STAC_RETURN_IF_ERROR(simulated ? DrawSimulation(options->folder) : DrawFigures(*options));
        fmt::print("{}\n", (options->folder / "index.html").string());
        return OkStatus();
      });
  command->add_option("folder", options->folder, "folder of an experiment's results")->required();
  command->add_option("--reference", options->reference,
                      "system that the page's table compares with (default: the experiment's)");
}

}  // namespace

void AddLabCommands(CLI::App& app) {
  AddEvaluate(app);
  AddSweep(app);
  AddMerge(app);
  AddCompare(app);
  AddFigures(app);
}

}  // namespace stac
