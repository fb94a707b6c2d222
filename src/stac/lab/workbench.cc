#include "stac/lab/workbench.h"

#include <algorithm>

#include "stac/base/clock.h"
#include "stac/base/file_name.h"
#include "stac/base/revision.h"
#include "stac/capture/frame_scale.h"
#include "stac/lab/operating_point.h"
#include "stac/lab/reference.h"
#include "stac/quant/calibrate.h"

namespace stac {
SensitivityMap ResampleMap(const SensitivityMap& map, int columns, int rows) {
  SensitivityMap out(columns, rows);
  for (int y = 0; y < rows; ++y) {
    for (int x = 0; x < columns; ++x) {
      out(x, y) = map.Clamped((2 * x + 1) * map.width() / (2 * columns),
                              (2 * y + 1) * map.height() / (2 * rows));
    }
  }
  return out;
}

GradientSettings GradientSettingsOf(const SystemSpec& system) {
  if (system.kind() != SystemKind::kStac) return {};
  return {.downscale = system.Integer("gradient_downscale"), .half = system.Flag("gradient_half")};
}

std::filesystem::path CacheFolder(const std::filesystem::path& out,
                                  const std::filesystem::path& given,
                                  const ExperimentSpec& experiment) {
  return (given.empty() ? out / "cache" : given) /
         FileNameOf(fmt::format("{}-{}threads", CodeRevision(), experiment.network_threads));
}

Workbench::Workbench(const ExperimentSpec& experiment, const std::vector<Clip>& clips,
                     const CalibrationFrames& calibration, const LabTools& tools,
                     std::filesystem::path cache)
    : experiment_(experiment),
      clips_(clips),
      calibration_(calibration),
      tools_(tools),
      cache_(std::move(cache)) {}

Result<Segmenter*> Workbench::Network(size_t network, const GradientSettings& gradient) {
  const std::pair key(network, gradient);
  if (const auto found = networks_.find(key); found != networks_.end()) return found->second.get();
  // Networks take memory: keep those of one entry only.
  std::erase_if(networks_, [&](const auto& held) { return held.first.first != network; });
  SegmenterOptions options;
  options.threads = experiment_.network_threads;
  options.gradient_downscale = gradient.downscale;
  // Whatever the processor has, so that results do not depend on it.
  options.precision = gradient.half ? Precision::kHalfGradient : Precision::kFloat;
  STAC_ASSIGN_OR_RETURN(auto loaded,
                        tools_.load_network(experiment_.networks[network].path, options));
  return networks_.emplace(key, std::move(loaded)).first->second.get();
}

const ClipMotion& Workbench::Motion(size_t clip) {
  const auto found = motion_.find(clip);
  if (found != motion_.end()) return found->second;
  motion_.clear();  // it takes memory, and points come clip by clip
  return motion_.emplace(clip, MotionOf(clips_[clip], tools_)).first->second;
}

Result<const std::vector<LabelMap>*> Workbench::Reference(size_t network, size_t clip) {
  const auto found = references_.find({network, clip});
  if (found != references_.end()) return &found->second;
  STAC_ASSIGN_OR_RETURN(Segmenter * segmenter, Network(network));
  STAC_ASSIGN_OR_RETURN(auto labels, ReferenceLabels(clips_[clip], *segmenter, cache_));
  return &references_.emplace(std::pair{network, clip}, std::move(labels)).first->second;
}

Result<const std::vector<SensitivityMap>*> Workbench::Importance(size_t network, size_t clip,
                                                                 bool predicted) {
  const std::tuple key(network, clip, predicted);
  const auto found = importance_.find(key);
  if (found != importance_.end()) return &found->second;
  if (predicted) {
    STAC_ASSIGN_OR_RETURN(importance_[key], PredictedImportance(network, clip));
    return &importance_[key];
  }
  STAC_ASSIGN_OR_RETURN(Segmenter * segmenter, Network(network));
  STAC_ASSIGN_OR_RETURN(const auto* reference, Reference(network, clip));
  STAC_ASSIGN_OR_RETURN(importance_[key],
                        AccuracyGradients(clips_[clip], *segmenter, *reference, tools_, cache_));
  return &importance_[key];
}

Result<std::vector<SensitivityMap>> Workbench::PredictedImportance(size_t network, size_t clip) {
  const NetworkEntry& entry = experiment_.networks[network];
  if (entry.accmpeg.empty()) {
    return Fail(
        "the [[network]] {} names no network for macroblocks: set accmpeg in it, or "
        "map=oracle in the system",
        entry.name);
  }
  if (!scorers_.contains(network)) {
    STAC_ASSIGN_OR_RETURN(scorers_[network], tools_.load_scorer(entry.accmpeg));
  }
  std::vector<SensitivityMap> maps;
  for (const Frame& frame : clips_[clip].frames) {
    STAC_ASSIGN_OR_RETURN(maps.emplace_back(), scorers_[network](frame));
  }
  return maps;
}

Result<Profile> Workbench::NetworkProfile(size_t network) {
  const auto found = profiles_.find(network);
  if (found != profiles_.end()) return found->second;
  const NetworkEntry& entry = experiment_.networks[network];
  if (!entry.profile.empty()) {
    STAC_ASSIGN_OR_RETURN(profiles_[network], ReadProfile(entry.profile));
    return profiles_[network];
  }
  STAC_ASSIGN_OR_RETURN(Segmenter * segmenter, Network(network));
  const auto path = cache_ / fmt::format("{}-{}.profile.json", entry.hash, calibration_.hash);
  if (std::filesystem::exists(path)) {
    STAC_ASSIGN_OR_RETURN(profiles_[network], ReadProfile(path));
    return profiles_[network];
  }
  Calibrator calibrator(*segmenter);
  calibrator.BeginClip(calibration_.name);
  for (const Frame& frame : calibration_.frames) STAC_RETURN_IF_ERROR(calibrator.Add(frame));
  STAC_ASSIGN_OR_RETURN(Profile profile, calibrator.Finish());
  STAC_RETURN_IF_ERROR(WriteProfile(path, profile));
  return profiles_[network] = std::move(profile);
}

Result<ResultRow> Workbench::Run(const PointSpec& point, bool per_second) {
  const Stopwatch watch;
  const auto run = [&]() -> Result<ResultRow> {
    STAC_ASSIGN_OR_RETURN(const auto* reference, Reference(point.network, point.clip));
    STAC_ASSIGN_OR_RETURN(const Profile profile, NetworkProfile(point.network));
    const std::vector<SensitivityMap>* importance = nullptr;
    std::vector<SensitivityMap> resampled;
    const Clip& clip = clips_[point.clip];
    if (point.spec.kind() == SystemKind::kAccMpeg) {
      STAC_ASSIGN_OR_RETURN(importance,
                            Importance(point.network, point.clip, point.spec.PredictsMap()));
      const Size coded = CodedSize({clip.width(), clip.height()}, point.spec.scale());
      const RegionGrid grid{.frame_width = coded.width, .frame_height = coded.height};
      if (!importance->front().SameSize(grid.mb_columns(), grid.mb_rows())) {
        for (const SensitivityMap& map : *importance) {
          resampled.push_back(ResampleMap(map, grid.mb_columns(), grid.mb_rows()));
        }
        importance = &resampled;
      }
    }
    STAC_ASSIGN_OR_RETURN(Segmenter * segmenter,
                          Network(point.network, GradientSettingsOf(point.spec)));
    const PointInputs inputs{.clip = clip,
                             .motion = Motion(point.clip),
                             .reference = *reference,
                             .network = *segmenter,
                             .profile = profile,
                             .importance = importance,
                             .seed = experiment_.seed,
                             .per_second = per_second};
    return RunPoint(point.spec, inputs, tools_);
  };
  auto row = run();
  if (!row) {
    return Fail("{} on {} with {}: {}", point.spec.Short(), clips_[point.clip].name,
                experiment_.networks[point.network].name, row.error().message);
  }
  row->total_s = watch.Milliseconds() / 1000;
  return row;
}

}  // namespace stac
