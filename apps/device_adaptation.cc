#include "device_adaptation.h"

#include <algorithm>
#include <filesystem>
#include <set>
#include <utility>

#include "assets.h"
#include "stac/adapt/segment_table.h"
#include "stac/adapt/tuner.h"
#include "stac/base/file.h"
#include "stac/base/log.h"

namespace stac {
namespace {

constexpr size_t kMaxTableBytes = 256u << 20;

// Of several systems, as a lab's sweep has them, the device is `stac`.
Status KeepOneSystem(std::vector<SegmentRow>& rows, const std::string& path) {
  std::set<std::pair<std::string, std::string>> kinds;
  for (const SegmentRow& row : rows) kinds.emplace(row.system, row.network);
  if (kinds.size() == 1) return OkStatus();
  std::erase_if(rows, [](const SegmentRow& row) { return row.system != "stac"; });
  const bool one_network = std::all_of(rows.begin(), rows.end(), [&](const SegmentRow& row) {
    return row.network == rows.front().network;
  });
  if (!rows.empty() && one_network) return OkStatus();
  return Fail("{} has rows of several systems or networks: leave those of one in it", path);
}

// A profile as it is, or the means of a segment table, without what is coded smaller than a device
// does.
Result<std::vector<ProfileRow>> ReadProfileRows(const std::string& path, double min_scale) {
  STAC_ASSIGN_OR_RETURN(const Bytes bytes, ReadFile(path, kMaxTableBytes));
  const std::string_view text = AsText(bytes);
  std::vector<ProfileRow> rows;
  if (text.starts_with("system,")) {
    auto segments = ParseSegmentTable(text);
    if (!segments) return Fail("{}: {}", path, segments.error().message);
    STAC_RETURN_IF_ERROR(KeepOneSystem(*segments, path));
    rows = ProfileOfSegments(*segments, SegmentBits::kUplink);
  } else {
    auto parsed = ParseProfileTable(text);
    if (!parsed) return Fail("{}: {}", path, parsed.error().message);
    rows = *std::move(parsed);
  }
  const size_t all = rows.size();
  std::erase_if(rows, [&](const ProfileRow& row) { return row.configuration.scale < min_scale; });
  if (rows.size() < all) {
    spdlog::warn("{}: {} rows of a scale below {} are left out", path, all - rows.size(),
                 min_scale);
  }
  if (rows.empty()) {
    return Fail("{} has no row of scale {} and more that all its seconds share", path, min_scale);
  }
  return rows;
}

}  // namespace

Result<std::unique_ptr<Adaptation>> MakeAdaptation(const DeviceAdaptation& wanted, bool given,
                                                   const ControlDecision& start, double fps) {
  std::string mode = wanted.mode;
  if (mode.empty() && !wanted.table.empty()) mode = "table";
  if (mode.empty() && (!given || !wanted.tuner.empty())) mode = "tuner";
  AdaptationOptions options{.start = start,
                            .share = wanted.share,
                            .spare = wanted.spare,
                            .coarser = wanted.coarser,
                            .source_fps = fps};
  options.limits.min_scale = std::min(options.limits.min_scale, start.scale);
  options.limits.max_keyframe_fps = std::max(1.0, std::min(options.limits.max_keyframe_fps, fps));
  if (options.start.keyframe_fps <= 0) options.start.keyframe_fps = options.limits.max_keyframe_fps;
  if (mode == "table") {
    if (wanted.table.empty()) return Fail("--adapt table needs the profile: --table FILE");
    STAC_ASSIGN_OR_RETURN(auto rows, ReadProfileRows(wanted.table, options.limits.min_scale));
    return std::make_unique<Adaptation>(MakeProfileTableController(std::move(rows)), options);
  }
  if (mode != "tuner") return std::unique_ptr<Adaptation>();
  const std::filesystem::path path =
      wanted.tuner.empty() ? FindAsset("tuner.json") : std::filesystem::path(wanted.tuner);
  if (path.empty()) {
    if (!wanted.mode.empty()) return Fail("no tuner is beside the program: name one with --tuner");
    spdlog::warn("no tuner is beside the program: the configuration stays as it is");
    return std::unique_ptr<Adaptation>();
  }
  STAC_ASSIGN_OR_RETURN(TunerNetwork network, TunerNetwork::Read(path));
  return std::make_unique<Adaptation>(MakeTunerController(std::move(network), options.limits),
                                      options);
}

}  // namespace stac
