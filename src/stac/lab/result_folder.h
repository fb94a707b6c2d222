#pragma once

#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "stac/base/result.h"
#include "stac/lab/result_row.h"
#include "stac/lab/result_store.h"

// An experiment's folder: results.db has every point that was ever measured there, points.txt the
// keys of those that the experiment, as it was last run, is made of. Others - of its quick variant,
// or of what it was before it was edited - stay in the database, where a later run finds them
// again, but belong to no curve.

namespace stac {

// Keys of all points of the experiment, measured or not, in all shards.
Status WritePointList(const std::filesystem::path& folder, const std::set<std::string>& keys);

// The experiment's measured points; every one of the database where there is no points.txt. Fails
// if there is no database.
Result<std::vector<ResultRow>> ReadResults(const std::filesystem::path& folder);

// Joins the databases and the lists of points of the folders `from` in `into`; what is there
// already stays as it is.
Result<MergedPoints> MergeResults(const std::vector<std::filesystem::path>& from,
                                  const std::filesystem::path& into);

// Writes results.csv, timing.csv and, if there are segments, segments.csv from a folder's results.
Status WriteResultFiles(const std::filesystem::path& folder);

}  // namespace stac
