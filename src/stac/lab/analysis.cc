#include "stac/lab/analysis.h"

#include "stac/base/file.h"
#include "stac/lab/analysis_columns_internal.h"
#include "stac/lab/analysis_internal.h"
#include "stac/lab/worker_pool.h"

namespace stac {
namespace {

namespace fs = std::filesystem;

Result<std::string> LinesOf(FigureKind figure, Workbench& bench, size_t network, size_t clip,
                            const fs::path& out, const LabTools& tools) {
  switch (figure) {
    case FigureKind::kGradientMaps:
      return GradientMapLines(bench, network, clip, out);
    case FigureKind::kLossGap:
      return LossGapLines(bench, network, clip);
    case FigureKind::kFakeLoss:
      return FakeLossLines(bench, network, clip, tools);
    case FigureKind::kLevelDeviation:
      return LevelDeviationLines(bench, network, clip);
    case FigureKind::kAllocationBound:
      return AllocationBoundLines(bench, network, clip, tools);
    case FigureKind::kAccuracyBitrate:
      break;
  }
  return Fail("a matrix of systems is no analysis");
}

}  // namespace

Status RunAnalysis(FigureKind figure, size_t pairs, int workers, const fs::path& out,
                   const std::function<std::shared_ptr<Workbench>()>& make_bench,
                   const LabTools& tools, const std::atomic<bool>& stop) {
  const fs::path parts = out / "parts";
  STAC_RETURN_IF_ERROR(MakeFolder(parts));
  const auto part = [&](size_t job) { return parts / fmt::format("{}.csv", job); };
  STAC_RETURN_IF_ERROR(RunInProcesses(
      static_cast<int64_t>(pairs), workers, "analysis",
      [&]() -> Result<JobRunner> {
        return [&, bench = make_bench()](int64_t job) -> Status {
          const size_t clips = bench->clips().size();
          STAC_ASSIGN_OR_RETURN(const std::string lines,
                                LinesOf(figure, *bench, job / clips, job % clips, out, tools));
          return WriteFile(part(static_cast<size_t>(job)), lines);
        };
      },
      [](int64_t job) { return fmt::format("part {}", job + 1); }, stop));
  std::string csv = std::string(ColumnsOf(figure)) + "\n";
  for (size_t job = 0; job < pairs; ++job) {
    STAC_ASSIGN_OR_RETURN(const Bytes lines, ReadFile(part(job)));
    csv += AsText(lines);
  }
  std::error_code ignored;  // left-overs do no harm
  fs::remove_all(parts, ignored);
  return WriteFile(out / "analysis.csv", csv);
}

}  // namespace stac
