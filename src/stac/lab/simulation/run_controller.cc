#include "stac/lab/simulation/run_controller.h"

#include "stac/adapt/stepped_scale.h"
#include "stac/adapt/tuner.h"
#include "stac/lab/simulation/casva_controller.h"

namespace stac {
namespace {

class FixedController final : public Controller {
 public:
  explicit FixedController(const ControlDecision& decision) : decision_(decision) {}
  ControlDecision Decide(const ControlInput&) override { return decision_; }

 private:
  ControlDecision decision_;
};

Result<std::unique_ptr<Controller>> MakeProfile(const SimulatedSystem& system,
                                                const std::vector<SegmentRow>& table,
                                                const std::string& network) {
  std::vector<SegmentRow> rows;
  for (const SegmentRow& row : table) {
    if (row.system == system.profile && row.network == network) rows.push_back(row);
  }
  const std::vector<ProfileRow> profile = ProfileOfSegments(rows, SegmentBits::kUplink);
  if (profile.empty()) {
    return Fail(
        "system {}: the tables have no rows of system {} with network {} that were "
        "measured in every second: run stac sweep with them",
        system.name, system.profile, network);
  }
  return MakeProfileTableController(profile, system.share);
}

}  // namespace

Result<std::vector<SegmentRow>> ReadTables(const std::vector<std::filesystem::path>& paths) {
  std::vector<SegmentRow> all;
  for (const auto& path : paths) {
    STAC_ASSIGN_OR_RETURN(const auto rows, ReadSegmentTable(path));
    all.insert(all.end(), rows.begin(), rows.end());
  }
  return all;
}

Result<std::unique_ptr<Controller>> MakeRunController(const SimulatedSystem& system,
                                                      const std::vector<SegmentRow>& table,
                                                      const std::string& network,
                                                      const StreamOptions& options) {
  switch (system.controller) {
    case ControllerKind::kFixed:
      return std::make_unique<FixedController>(options.start);
    case ControllerKind::kProfile:
      return MakeProfile(system, table, network);
    case ControllerKind::kTuner: {
      STAC_ASSIGN_OR_RETURN(TunerNetwork tuner, TunerNetwork::Read(system.weights));
      return MakeSteppedScale(MakeTunerController(std::move(tuner), options.limits, system.share));
    }
    case ControllerKind::kCasva: {
      STAC_ASSIGN_OR_RETURN(CasvaPolicy policy, CasvaPolicy::Read(system.weights));
      return MakeCasvaController(std::move(policy), system.share);
    }
  }
  return Fail("system {} has no controller", system.name);
}

}  // namespace stac
