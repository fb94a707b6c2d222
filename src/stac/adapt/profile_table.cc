#include <algorithm>
#include <utility>

#include "stac/adapt/controller.h"
#include "stac/adapt/csv_internal.h"
#include "stac/base/check.h"

namespace stac {
namespace {

class ProfileTableController final : public Controller {
 public:
  ProfileTableController(std::vector<ProfileRow> rows, double share)
      : rows_(ParetoRows(std::move(rows))), share_(share) {
    STAC_CHECK(!rows_.empty());
  }

  ControlDecision Decide(const ControlInput& input) override {
    if (input.bandwidth_kbps <= 0) {
      return {input.last_base_qp, input.last_keyframe_fps, input.last_scale};
    }
    const auto too_much =
        std::upper_bound(rows_.begin(), rows_.end(), share_ * input.bandwidth_kbps,
                         [](double kbps, const ProfileRow& row) { return kbps < row.kbps; });
    return (too_much == rows_.begin() ? rows_.front() : *(too_much - 1)).configuration;
  }

 private:
  std::vector<ProfileRow> rows_;
  double share_;
};

}  // namespace

ControlDecision Clamp(const ControlDecision& decision, const ControlLimits& limits) {
  return {std::clamp(decision.base_qp, limits.min_base_qp, limits.max_base_qp),
          std::clamp(decision.keyframe_fps, limits.min_keyframe_fps, limits.max_keyframe_fps),
          std::clamp(decision.scale, limits.min_scale, 1.0)};
}

void ControlInput::SetSent(const ControlDecision& decision, double keyframe_fps, double kbps,
                           bool held_back) {
  STAC_CHECK(keyframe_fps > 0);
  last_keyframe_fps =
      held_back ? decision.keyframe_fps : std::min(keyframe_fps, decision.keyframe_fps);
  last_kbps = kbps * last_keyframe_fps / keyframe_fps;
  last_base_qp = decision.base_qp;
  last_scale = decision.scale;
}

std::vector<ProfileRow> ParetoRows(std::vector<ProfileRow> rows) {
  std::stable_sort(rows.begin(), rows.end(), [](const ProfileRow& a, const ProfileRow& b) {
    return a.kbps != b.kbps ? a.kbps < b.kbps : a.accuracy > b.accuracy;
  });
  std::vector<ProfileRow> best;
  for (const ProfileRow& row : rows) {
    if (best.empty() || row.accuracy > best.back().accuracy) best.push_back(row);
  }
  return best;
}

Result<std::vector<ProfileRow>> ParseProfileTable(std::string_view csv) {
  constexpr std::string_view kTable = "profile table";
  STAC_ASSIGN_OR_RETURN(const auto lines,
                        ParseCsv(csv, "base_qp,keyframe_fps,scale,accuracy,kbps", kTable));
  std::vector<ProfileRow> rows;
  for (const CsvRow& line : lines) {
    const auto cell = [&](size_t at, std::string_view name, double low, double high) {
      return ParseCell(line, at, name, low, high, kTable);
    };
    ProfileRow row;
    ControlDecision& configuration = row.configuration;
    STAC_ASSIGN_OR_RETURN(configuration.base_qp, cell(0, "base_qp", -20, 71));
    STAC_ASSIGN_OR_RETURN(configuration.keyframe_fps, cell(1, "keyframe_fps", 0, 1000));
    STAC_ASSIGN_OR_RETURN(configuration.scale, cell(2, "scale", 0.01, 1));
    STAC_ASSIGN_OR_RETURN(row.accuracy, cell(3, "accuracy", 0, 1));
    STAC_ASSIGN_OR_RETURN(row.kbps, cell(4, "kbps", 0, 1e9));
    rows.push_back(row);
  }
  return rows;
}

std::unique_ptr<Controller> MakeProfileTableController(std::vector<ProfileRow> rows, double share) {
  return std::make_unique<ProfileTableController>(std::move(rows), share);
}

}  // namespace stac
