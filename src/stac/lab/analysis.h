#pragma once

#include <atomic>
#include <filesystem>
#include <functional>
#include <memory>

#include "stac/base/result.h"
#include "stac/lab/experiment_spec.h"
#include "stac/lab/workbench.h"

namespace stac {

// The experiments that look at gradients and losses instead of streaming (Fig. 4, 6, 7, 9): one
// job per network and clip, numbers in out/analysis.csv (see docs/lab.md for the columns).
Status RunAnalysis(FigureKind figure, size_t pairs, int workers, const std::filesystem::path& out,
                   const std::function<std::shared_ptr<Workbench>()>& make_bench,
                   const LabTools& tools, const std::atomic<bool>& stop);

}  // namespace stac
