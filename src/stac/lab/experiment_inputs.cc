#include "stac/lab/experiment_inputs.h"

#include <algorithm>

#include "stac/base/bytes.h"
#include "stac/base/file.h"

namespace stac {
namespace {

constexpr size_t kDefaultCalibrationFrames = 6;

Result<std::string> FileHash(const NetworkEntry& network, const std::string& path) {
  const auto bytes = ReadFile(path);
  if (!bytes) return Fail("network {}: {}", network.name, bytes.error().message);
  return HexHash(*bytes);
}

}  // namespace

Result<std::vector<Clip>> LoadClips(const ExperimentSpec& experiment, const LabTools& tools) {
  std::vector<Clip> clips;
  for (const ClipEntry& entry : experiment.clips) {
    STAC_ASSIGN_OR_RETURN(Clip clip, LoadClip(entry, tools));
    clips.push_back(std::move(clip));
  }
  return clips;
}

Result<CalibrationFrames> LoadCalibration(const ExperimentSpec& experiment,
                                          const std::vector<Clip>& clips, const LabTools& tools) {
  CalibrationFrames out;
  if (experiment.calibration) {
    STAC_ASSIGN_OR_RETURN(const Clip clip, LoadClip(*experiment.calibration, tools));
    out.frames = clip.frames;
    out.hash = clip.hash;
    out.name = clip.name;
    return out;
  }
  const Clip& clip = clips.front();
  const size_t count = std::min(clip.frames.size(), kDefaultCalibrationFrames);
  out.frames.assign(clip.frames.begin(), clip.frames.begin() + static_cast<ptrdiff_t>(count));
  ByteWriter identity;
  for (const Frame& frame : out.frames) identity.U64(HashPixels(frame));
  out.hash = HexHash(identity.bytes());
  out.name = clip.name;
  return out;
}

Status FillNetworkHashes(ExperimentSpec& experiment) {
  for (NetworkEntry& network : experiment.networks) {
    STAC_ASSIGN_OR_RETURN(network.hash, FileHash(network, network.path));
    if (network.accmpeg.empty()) continue;
    STAC_ASSIGN_OR_RETURN(network.accmpeg_hash, FileHash(network, network.accmpeg));
  }
  return OkStatus();
}

}  // namespace stac
