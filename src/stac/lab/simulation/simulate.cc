#include "stac/lab/simulation/simulate.h"

#include <algorithm>
#include <map>
#include <optional>

#include "stac/base/bytes.h"
#include "stac/base/file.h"
#include "stac/base/revision.h"
#include "stac/lab/experiment_inputs.h"
#include "stac/lab/simulation/run_controller.h"
#include "stac/lab/worker_pool.h"

namespace stac {
namespace {

namespace fs = std::filesystem;

// One stream to be run: indices into what was loaded.
struct Job {
  size_t network = 0, clip = 0, system = 0, type = 0, trace = 0;
  fs::path file;
};

struct Loaded {
  ExperimentSpec experiment;
  std::vector<Clip> clips;
  CalibrationFrames calibration;
  std::vector<SegmentRow> table;
  std::vector<std::vector<Trace>> traces;  // by network type
};

Result<Loaded> Load(const SimulationSpec& spec, const LabTools& tools) {
  Loaded in{.experiment = spec.experiment};
  STAC_ASSIGN_OR_RETURN(in.clips, LoadClips(in.experiment, tools));
  for (const Clip& clip : in.clips) {
    if (clip.fps < 1) {
      return Fail("clip {} has {:.4g} frames/s; a stream needs at least one every second",
                  clip.name, clip.fps);
    }
  }
  STAC_ASSIGN_OR_RETURN(in.calibration, LoadCalibration(in.experiment, in.clips, tools));
  STAC_RETURN_IF_ERROR(FillNetworkHashes(in.experiment));
  STAC_ASSIGN_OR_RETURN(in.table, ReadTables(spec.tables));
  for (const NetworkType& type : spec.network_types) {
    STAC_ASSIGN_OR_RETURN(auto traces, LoadTraces(type, true, type.traces, spec.options.seconds,
                                                  spec.experiment.seed));
    in.traces.push_back(std::move(traces));
  }
  return in;
}

std::string OptionsText(const StreamOptions& o, const SimulatedSystem& system, double skip) {
  const ComputeTimes& c = o.compute;
  const LinkSettings& l = o.link;
  const ControlLimits& m = o.limits;
  return fmt::format(
      "{} {} start {} {} {} limits {} {} {} {} {} compute {} {} {} {} {} {} link {} {} {} {} {} {} "
      "{} "
      "seed {} controller {} {} {} {} {} {} {}",
      o.seconds, skip, o.start.base_qp, o.start.keyframe_fps, o.start.scale, m.min_base_qp,
      m.max_base_qp, m.min_keyframe_fps, m.max_keyframe_fps, m.min_scale, c.measured, c.flow_ms,
      c.encode_ms, c.decode_ms, c.forward_ms, c.gradient_ms, l.delay_ms, l.jitter_ms, l.loss,
      l.down_kbps, l.discard_unfinished, l.gate.max_backlog_ms, l.gate.hold_to_bandwidth, o.seed,
      static_cast<int>(system.controller), system.share, system.spare, system.coarser,
      system.oracle, static_cast<int>(system.content), system.profile);
}

// Everything that decides the numbers of a stream, and the names that it is shown under.
Result<std::string> KeyOf(const SimulationSpec& spec, const Loaded& in, const Job& job) {
  const SimulatedSystem& system = spec.systems[job.system];
  const NetworkEntry& network = in.experiment.networks[job.network];
  std::string profile = in.calibration.hash;
  if (!network.profile.empty()) {
    STAC_ASSIGN_OR_RETURN(const Bytes bytes, ReadFile(network.profile));
    profile = HexHash(bytes);
  }
  // The number counts what a run's file holds.
  std::string text = fmt::format(
      "5\n{}\n{}\n{}\n{}\n{}\n{}\n{}\n{}\n{}\n{}\n{}\nthreads {}\n", system.name,
      system.spec.Canonical(), network.name, network.hash, profile, in.clips[job.clip].name,
      in.clips[job.clip].hash, spec.network_types[job.type].name,
      in.traces[job.type][job.trace].name, ToCsv(in.traces[job.type][job.trace]),
      OptionsText(spec.options, system, spec.skip_seconds), in.experiment.network_threads);
  if (system.spec.PredictsMap()) text += network.accmpeg_hash;
  if (!system.weights.empty()) {
    STAC_ASSIGN_OR_RETURN(const Bytes weights, ReadFile(system.weights));
    text += HexHash(weights);
  }
  if (system.controller == ControllerKind::kProfile) text += ToCsv(in.table);
  return HexHash(AsBytes(text));
}

Result<std::vector<Job>> AllJobs(const SimulationSpec& spec, const Loaded& in,
                                 const fs::path& folder) {
  std::vector<Job> jobs;
  Job job;
  for (job.network = 0; job.network < in.experiment.networks.size(); ++job.network) {
    for (job.clip = 0; job.clip < in.clips.size(); ++job.clip) {
      for (job.type = 0; job.type < in.traces.size(); ++job.type) {
        for (job.trace = 0; job.trace < in.traces[job.type].size(); ++job.trace) {
          for (job.system = 0; job.system < spec.systems.size(); ++job.system) {
            STAC_ASSIGN_OR_RETURN(const std::string key, KeyOf(spec, in, job));
            jobs.push_back(job);
            jobs.back().file = folder / (key + ".json");
          }
        }
      }
    }
  }
  return jobs;
}

// What one worker process keeps between streams.
class Worker {
 public:
  Worker(const SimulationSpec& spec, const Loaded& in, const LabTools& tools, const fs::path& cache)
      : spec_(spec),
        in_(in),
        tools_(tools),
        bench_(in.experiment, in.clips, in.calibration, tools, cache) {}

  Status Run(const Job& job) {
    const SimulatedSystem& system = spec_.systems[job.system];
    const NetworkType& type = spec_.network_types[job.type];
    const Trace& trace = in_.traces[job.type][job.trace];
    const Clip& clip = in_.clips[job.clip];
    const std::string& network = in_.experiment.networks[job.network].name;
    auto result = Stream(job, system, trace, clip, network);
    if (!result) {
      return Fail("{} on {}/{} with {} and {}: {}", system.name, type.name, trace.name, clip.name,
                  network, result.error().message);
    }
    const SimulatedRun run{.system = system.name,
                           .network_type = type.name,
                           .trace = trace.name,
                           .network = network,
                           .clip = clip.name,
                           .revision = CodeRevision(),
                           .summary = Summarize(*result, spec_.skip_seconds),
                           .seconds = std::move(result->seconds)};
    return WriteFile(job.file, RunToJson(run));
  }

 private:
  Result<StreamResult> Stream(const Job& job, const SimulatedSystem& system, const Trace& trace,
                              const Clip& clip, const std::string& network) {
    STAC_ASSIGN_OR_RETURN(const auto* reference, bench_.Reference(job.network, job.clip));
    STAC_ASSIGN_OR_RETURN(const Profile profile, bench_.NetworkProfile(job.network));
    const std::vector<SensitivityMap>* importance = nullptr;
    if (system.spec.kind() == SystemKind::kAccMpeg) {
      STAC_ASSIGN_OR_RETURN(importance,
                            bench_.Importance(job.network, job.clip, system.spec.PredictsMap()));
    }
    STAC_ASSIGN_OR_RETURN(Segmenter * segmenter,
                          bench_.Network(job.network, GradientSettingsOf(system.spec)));
    StreamOptions options = spec_.options;
    options.oracle = system.oracle;
    options.spare = system.spare;
    options.coarser = system.coarser;
    options.content = system.content;
    STAC_ASSIGN_OR_RETURN(const auto controller,
                          MakeRunController(system, in_.table, network, options));
    auto& loops = loops_[job.clip];
    if (!loops) loops = std::make_unique<LoopedClip>(clip, tools_);
    const StreamInputs inputs{.clip = clip,
                              .network = *segmenter,
                              .profile = profile,
                              .reference = *reference,
                              .importance = importance,
                              .seed = spec_.experiment.seed};
    return RunStream(system.spec, inputs, *loops, trace, *controller, options, tools_);
  }

  const SimulationSpec& spec_;
  const Loaded& in_;
  const LabTools& tools_;
  Workbench bench_;
  std::map<size_t, std::unique_ptr<LoopedClip>> loops_;  // by clip
};

// What several streams need is made before they run side by side.
Status Prepare(const SimulationSpec& spec, const Loaded& in, const SimulateOptions& options,
               const fs::path& cache, const LabTools& tools, const std::atomic<bool>& stop) {
  const bool importance = std::any_of(
      spec.systems.begin(), spec.systems.end(),
      [](const SimulatedSystem& system) { return system.spec.NeedsAccuracyGradients(); });
  const auto make = [&]() -> Result<JobRunner> {
    auto bench = std::make_shared<Workbench>(in.experiment, in.clips, in.calibration, tools, cache);
    return [&, bench](int64_t job) -> Status {
      const size_t network = job / in.clips.size(), clip = job % in.clips.size();
      if (clip == 0) STAC_RETURN_IF_ERROR(bench->NetworkProfile(network));
      STAC_RETURN_IF_ERROR(bench->Reference(network, clip));
      if (importance) STAC_RETURN_IF_ERROR(bench->Importance(network, clip, /*predicted=*/false));
      return OkStatus();
    };
  };
  return RunInProcesses(
      static_cast<int64_t>(in.experiment.networks.size() * in.clips.size()), options.jobs,
      "reference labels", make, [&](int64_t job) { return in.clips[job % in.clips.size()].name; },
      stop);
}

Result<SimulatedRun> ReadRun(const fs::path& file) {
  STAC_ASSIGN_OR_RETURN(const Bytes text, ReadFile(file));
  auto run = RunFromJson(AsText(text));
  if (!run) return Fail("{}: {}; delete it to run it again", file.string(), run.error().message);
  return run;
}

}  // namespace

Result<SimulateSummary> Simulate(const SimulationSpec& spec, const SimulateOptions& options,
                                 const LabTools& tools, const std::atomic<bool>& stop) {
  const fs::path cache = CacheFolder(options.out, options.cache, spec.experiment);
  const fs::path folder = options.out / "runs";
  STAC_RETURN_IF_ERROR(MakeFolder(folder));
  STAC_RETURN_IF_ERROR(MakeFolder(cache));
  STAC_RETURN_IF_ERROR(WriteFile(options.out / "spec.toml", spec.experiment.text));
  STAC_ASSIGN_OR_RETURN(const Loaded in, Load(spec, tools));
  // Controllers that cannot be made are told before anything runs.
  for (const SimulatedSystem& system : spec.systems) {
    for (const NetworkEntry& network : in.experiment.networks) {
      STAC_RETURN_IF_ERROR(MakeRunController(system, in.table, network.name, spec.options));
    }
  }
  STAC_ASSIGN_OR_RETURN(const std::vector<Job> jobs, AllJobs(spec, in, folder));
  std::vector<Job> missing;
  SimulateSummary summary;
  for (const Job& job : jobs) {
    if (!fs::exists(job.file)) {
      missing.push_back(job);
      continue;
    }
    STAC_ASSIGN_OR_RETURN(const SimulatedRun run, ReadRun(job.file));
    if (run.revision == CodeRevision()) continue;
    if (options.redo) {
      missing.push_back(job);
    } else {
      ++summary.other_revision;
    }
  }
  summary.measured = static_cast<int>(missing.size());
  if (!missing.empty()) {
    STAC_RETURN_IF_ERROR(Prepare(spec, in, options, cache, tools, stop));
    const auto make = [&]() -> Result<JobRunner> {
      auto worker = std::make_shared<Worker>(spec, in, tools, cache);
      return [&, worker](int64_t job) { return worker->Run(missing[static_cast<size_t>(job)]); };
    };
    const auto describe = [&](int64_t at) {
      const Job& job = missing[static_cast<size_t>(at)];
      return fmt::format("{} {} {}", spec.systems[job.system].name,
                         spec.network_types[job.type].name, in.clips[job.clip].name);
    };
    STAC_RETURN_IF_ERROR(RunInProcesses(static_cast<int64_t>(missing.size()), options.jobs,
                                        spec.experiment.name, make, describe, stop));
  }
  std::string names;
  for (const Job& job : jobs) {
    names += job.file.filename().string() + "\n";
    STAC_ASSIGN_OR_RETURN(SimulatedRun run, ReadRun(job.file));
    summary.runs.push_back(std::move(run));
  }
  STAC_RETURN_IF_ERROR(WriteFile(options.out / "adaptation.csv", AdaptationCsv(summary.runs)));
  STAC_RETURN_IF_ERROR(WriteFile(options.out / "runs.csv", RunsCsv(summary.runs)));
  STAC_RETURN_IF_ERROR(WriteFile(options.out / "seconds.csv", SecondsCsv(summary.runs)));
  STAC_RETURN_IF_ERROR(WriteFile(options.out / "runs.txt", names));
  return summary;
}

}  // namespace stac
