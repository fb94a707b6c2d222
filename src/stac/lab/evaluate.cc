#include "stac/lab/evaluate.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "stac/base/bytes.h"
#include "stac/base/file.h"
#include "stac/base/log.h"
#include "stac/base/revision.h"
#include "stac/lab/analysis.h"
#include "stac/lab/experiment_inputs.h"
#include "stac/lab/result_folder.h"
#include "stac/lab/result_store.h"
#include "stac/lab/session_options.h"
#include "stac/lab/workbench.h"
#include "stac/lab/worker_pool.h"

namespace stac {
namespace {

namespace fs = std::filesystem;

bool NeedsImportance(const std::vector<PointSpec>& points, size_t network, size_t clip) {
  return std::any_of(points.begin(), points.end(), [&](const PointSpec& point) {
    return point.network == network && point.clip == clip && point.spec.NeedsAccuracyGradients();
  });
}

// What all points of a network, or of a network and clip, need: each is made once.
Status Prepare(const ExperimentSpec& experiment, const std::vector<Clip>& clips,
               const std::vector<PointSpec>& points, int jobs,
               const std::function<std::shared_ptr<Workbench>()>& make_bench,
               const std::atomic<bool>& stop) {
  const auto calibrate = [&]() -> Result<JobRunner> {
    return [bench = make_bench()](int64_t network) -> Status {
      STAC_RETURN_IF_ERROR(bench->NetworkProfile(static_cast<size_t>(network)));
      return OkStatus();
    };
  };
  const auto refer = [&]() -> Result<JobRunner> {
    return [&, bench = make_bench()](int64_t job) -> Status {
      const size_t network = job / clips.size(), clip = job % clips.size();
      STAC_RETURN_IF_ERROR(bench->Reference(network, clip));
      if (!NeedsImportance(points, network, clip)) return OkStatus();
      STAC_RETURN_IF_ERROR(bench->Importance(network, clip, /*predicted=*/false));
      return OkStatus();
    };
  };
  const auto networks = static_cast<int64_t>(experiment.networks.size());
  STAC_RETURN_IF_ERROR(RunInProcesses(
      networks, jobs, "calibrating", calibrate,
      [&](int64_t network) { return experiment.networks[network].name; }, stop));
  return RunInProcesses(
      networks * static_cast<int64_t>(clips.size()), jobs, "reference labels", refer,
      [&](int64_t job) { return clips[job % clips.size()].name; }, stop);
}

// A sweep's rows need a quality to be told apart by, and whole seconds.
Status CheckSweep(const ExperimentSpec& experiment, const std::vector<Clip>& clips) {
  for (const SystemEntry& system : experiment.systems) {
    if (std::isnan(QualityQp(system.base))) {
      return Fail("system {}: {} has no quality that is a QP; a sweep needs one", system.name,
                  system.base.kind_name());
    }
  }
  for (const Clip& clip : clips) {
    if (clip.seconds() < 1) {
      return Fail("clip {} has {} frames at {:.4g} frames/s; a sweep needs at least a second",
                  clip.name, clip.frames.size(), clip.fps);
    }
  }
  return OkStatus();
}

}  // namespace

Result<EvaluateSummary> Evaluate(const ExperimentSpec& asked, const EvaluateOptions& options,
                                 const LabTools& tools, const std::atomic<bool>& stop) {
  ExperimentSpec experiment = asked;
  const fs::path cache = CacheFolder(options.out, options.cache, experiment);
  STAC_RETURN_IF_ERROR(MakeFolder(options.out));
  STAC_RETURN_IF_ERROR(MakeFolder(cache));
  STAC_RETURN_IF_ERROR(WriteFile(options.out / "spec.toml", experiment.text));
  STAC_ASSIGN_OR_RETURN(const std::vector<Clip> clips, LoadClips(experiment, tools));
  STAC_ASSIGN_OR_RETURN(const CalibrationFrames calibration,
                        LoadCalibration(experiment, clips, tools));
  STAC_RETURN_IF_ERROR(FillNetworkHashes(experiment));
  const auto make_bench = [&] {
    return std::make_shared<Workbench>(experiment, clips, calibration, tools, cache);
  };
  if (experiment.figure != FigureKind::kAccuracyBitrate) {
    if (options.per_second || options.shards > 1) {
      return Fail(
          "{} is an analysis of raw frames without operating points: stac evaluate runs it, "
          "without --shard",
          experiment.name);
    }
    STAC_RETURN_IF_ERROR(RunAnalysis(experiment.figure, experiment.networks.size() * clips.size(),
                                     options.jobs, options.out, make_bench, tools, stop));
    return EvaluateSummary{.points = static_cast<int>(experiment.networks.size() * clips.size())};
  }

  if (options.per_second) STAC_RETURN_IF_ERROR(CheckSweep(experiment, clips));
  const std::vector<PointSpec> all = ExpandMatrix(experiment);
  std::vector<PointSpec> points;
  for (size_t i = options.shard - 1; i < all.size(); i += options.shards) points.push_back(all[i]);

  STAC_RETURN_IF_ERROR(Prepare(experiment, clips, points, options.jobs, make_bench, stop));

  std::vector<std::string> profile_hashes;
  for (size_t i = 0; i < experiment.networks.size(); ++i) {
    const std::string& named = experiment.networks[i].profile;
    const fs::path path = named.empty()
                              ? cache / fmt::format("{}-{}.profile.json",
                                                    experiment.networks[i].hash, calibration.hash)
                              : fs::path(named);
    STAC_ASSIGN_OR_RETURN(const Profile profile, ReadProfile(path));
    profile_hashes.push_back(ProfileHash(profile));
  }
  const auto key_of = [&](const PointSpec& point) {
    // Names are in it, so that no point is shown under one that it does not have any more.
    std::string with =
        fmt::format("network={}\nclip={}\nthreads={}{}", experiment.networks[point.network].name,
                    clips[point.clip].name, experiment.network_threads,
                    options.per_second ? " per second" : "");
    if (point.spec.PredictsMap()) {
      with += ",accmpeg=" + experiment.networks[point.network].accmpeg_hash;
    }
    return PointKey({.spec = point.system + "\n" + point.spec.Canonical(),
                     .network_hash = experiment.networks[point.network].hash,
                     .clip_hash = clips[point.clip].hash + clips[point.clip].human,
                     .profile_hash = profile_hashes[point.network],
                     .seed = experiment.seed,
                     .options = with});
  };

  std::set<std::string> keys;
  for (const PointSpec& point : all) keys.insert(key_of(point));
  STAC_RETURN_IF_ERROR(WritePointList(options.out, keys));

  const fs::path database = options.out / "results.db";
  EvaluateSummary summary{.points = static_cast<int>(points.size())};
  {
    STAC_ASSIGN_OR_RETURN(const auto store, ResultStore::Open(database));
    STAC_ASSIGN_OR_RETURN(const auto rows, store->All());
    std::set<std::string> asked_for, current, stale;
    for (const PointSpec& point : points) asked_for.insert(key_of(point));
    for (const ResultRow& row : rows) {
      if (!asked_for.contains(row.key)) continue;  // another shard's, or of no curve
      (row.revision == CodeRevision() ? current : stale).insert(row.key);
    }
    if (options.redo) {
      STAC_RETURN_IF_ERROR(store->Remove({stale.begin(), stale.end()}));
      stale.clear();
    }
    std::erase_if(points, [&](const PointSpec& point) {
      const std::string key = key_of(point);
      if (stale.contains(key)) ++summary.other_revision;
      return current.contains(key) || stale.contains(key);
    });
  }  // closed before the workers are forked
  summary.measured = static_cast<int>(points.size());

  const auto measure = [&]() -> Result<JobRunner> {
    auto opened = ResultStore::Open(database);
    if (!opened) return tl::unexpected<Error>(opened.error());
    return [&, bench = make_bench(),
            store = std::shared_ptr<ResultStore>(std::move(*opened))](int64_t job) -> Status {
      const PointSpec& point = points[static_cast<size_t>(job)];
      const NetworkEntry& network = experiment.networks[point.network];
      STAC_ASSIGN_OR_RETURN(ResultRow row, bench->Run(point, options.per_second));
      row.key = key_of(point);
      row.system = point.system;
      row.spec = point.spec.Canonical();
      row.knobs = point.spec.Short();
      row.network = network.name;
      row.network_hash = network.hash;
      row.clip = clips[point.clip].name;
      row.clip_hash = clips[point.clip].hash;
      row.profile_hash = profile_hashes[point.network];
      row.revision = CodeRevision();
      row.seed = experiment.seed;
      return store->Add(row);
    };
  };
  const auto describe = [&](int64_t job) {
    const PointSpec& point = points[static_cast<size_t>(job)];
    return fmt::format("{} {} {}", experiment.networks[point.network].name, clips[point.clip].name,
                       point.system);
  };
  const Status measured = RunInProcesses(static_cast<int64_t>(points.size()), options.jobs,
                                         experiment.name, measure, describe, stop);
  STAC_RETURN_IF_ERROR(WriteResultFiles(options.out));  // of what there is, also after failures
  if (!measured) return tl::unexpected<Error>(measured.error());

  STAC_ASSIGN_OR_RETURN(auto rows, ReadResults(options.out));
  std::set<std::string> now;
  for (const PointSpec& point : points) now.insert(key_of(point));
  std::erase_if(rows, [&](const ResultRow& row) { return !now.contains(row.key); });
  summary.necessary_share = NecessaryShare(rows);
  return summary;
}

}  // namespace stac
