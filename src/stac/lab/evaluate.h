#pragma once

#include <atomic>
#include <filesystem>

#include "stac/base/result.h"
#include "stac/lab/experiment_spec.h"
#include "stac/lab/lab_tools.h"

namespace stac {

struct EvaluateOptions {
  std::filesystem::path out;    // results.db, points.txt, results.csv, timing.csv, spec.toml
  std::filesystem::path cache;  // empty: out/cache. Reference labels and the like
  int jobs = 2;                 // worker processes
  int shard = 1;                // this run measures every shards-th point, from shard on
  int shards = 1;
  bool per_second = false;  // a sweep: segments.csv as well
  bool redo = false;        // measure again what is there from another code revision
};

struct EvaluateSummary {
  int points = 0;              // of this shard
  int measured = 0;            // now; the others were there already
  int other_revision = 0;      // points kept from another code revision
  double necessary_share = 0;  // of time: encoding, decoding, networks (points measured now)
};

// Runs an experiment: every point that is not in out/results.db yet, in parallel processes, each
// result written as it comes. Same spec and seed give the same numbers on one machine, whatever
// the number of processes. Experiments about gradients (Fig. 4, 6, 7, 9) write analysis.csv.
Result<EvaluateSummary> Evaluate(const ExperimentSpec& experiment, const EvaluateOptions& options,
                                 const LabTools& tools, const std::atomic<bool>& stop);

}  // namespace stac
