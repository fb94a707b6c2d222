#include "stac/lab/result_folder.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <sstream>

#include "stac/base/bytes.h"
#include "stac/base/file.h"
#include "stac/lab/result_store.h"

namespace stac {
namespace {

namespace fs = std::filesystem;

fs::path Database(const fs::path& folder) { return folder / "results.db"; }
fs::path PointList(const fs::path& folder) { return folder / "points.txt"; }

Result<std::set<std::string>> ReadPointList(const fs::path& folder) {
  STAC_ASSIGN_OR_RETURN(const Bytes bytes, ReadFile(PointList(folder)));
  std::istringstream lines{std::string(AsText(bytes))};
  std::set<std::string> keys;
  for (std::string key; std::getline(lines, key);) keys.insert(key);
  return keys;
}

}  // namespace

Status WritePointList(const fs::path& folder, const std::set<std::string>& keys) {
  return WriteFile(PointList(folder), fmt::format("{}\n", fmt::join(keys, "\n")));
}

Result<std::vector<ResultRow>> ReadResults(const fs::path& folder) {
  if (!fs::exists(Database(folder)))
    return Fail("{} is missing: run stac evaluate", Database(folder).string());
  STAC_ASSIGN_OR_RETURN(const auto store, ResultStore::Open(Database(folder)));
  STAC_ASSIGN_OR_RETURN(std::vector<ResultRow> rows, store->All());
  if (!fs::exists(PointList(folder))) return rows;
  STAC_ASSIGN_OR_RETURN(const std::set<std::string> keys, ReadPointList(folder));
  std::erase_if(rows, [&](const ResultRow& row) { return !keys.contains(row.key); });
  return rows;
}

Result<MergedPoints> MergeResults(const std::vector<fs::path>& from, const fs::path& into) {
  std::vector<fs::path> databases, folders = from;
  for (const fs::path& folder : from) databases.push_back(Database(folder));
  if (fs::exists(Database(into))) folders.push_back(into);  // what it holds already stays
  std::set<std::string> keys;
  bool listed = true;
  for (const fs::path& folder : folders) {
    listed = listed && fs::exists(PointList(folder));
    if (!listed) continue;
    STAC_ASSIGN_OR_RETURN(const std::set<std::string> more, ReadPointList(folder));
    keys.insert(more.begin(), more.end());
  }
  STAC_ASSIGN_OR_RETURN(const MergedPoints merged, MergeStores(databases, Database(into)));
  if (listed) STAC_RETURN_IF_ERROR(WritePointList(into, keys));
  return merged;
}

Status WriteResultFiles(const fs::path& folder) {
  STAC_ASSIGN_OR_RETURN(const auto rows, ReadResults(folder));
  STAC_RETURN_IF_ERROR(WriteFile(folder / "results.csv", ResultsCsv(rows)));
  STAC_RETURN_IF_ERROR(WriteFile(folder / "timing.csv", TimingCsv(rows)));
  const std::string segments = SegmentsCsv(rows);
  return segments.empty() ? OkStatus() : WriteFile(folder / "segments.csv", segments);
}

}  // namespace stac
