#include <algorithm>
#include <charconv>
#include <cmath>
#include <utility>

#include "stac/adapt/controller.h"
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

Result<double> ParseCell(std::string_view cell, size_t line, std::string_view name, double low,
                         double high) {
  double value = 0;
  const auto [end, error] = std::from_chars(cell.data(), cell.data() + cell.size(), value);
  if (error != std::errc() || end != cell.data() + cell.size() ||
      !(value >= low && value <= high)) {
    return Fail("profile table, line {}: {} must be a number within {:g}..{:g}, not '{}'", line,
                name, low, high, cell.substr(0, 40));
  }
  return value;
}

}  // namespace

ControlDecision Clamp(const ControlDecision& decision, const ControlLimits& limits) {
  return {std::clamp(decision.base_qp, limits.min_base_qp, limits.max_base_qp),
          std::clamp(decision.keyframe_fps, limits.min_keyframe_fps, limits.max_keyframe_fps),
          std::clamp(decision.scale, limits.min_scale, 1.0)};
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
  constexpr std::string_view kHeader = "base_qp,keyframe_fps,scale,accuracy,kbps";
  std::vector<ProfileRow> rows;
  for (size_t number = 1; !csv.empty(); ++number) {
    const size_t end = std::min(csv.find('\n'), csv.size());
    std::string_view line = csv.substr(0, end);
    csv.remove_prefix(std::min(end + 1, csv.size()));
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    if (number == 1) {
      if (line != kHeader) return Fail("profile table, line 1: the header must be {}", kHeader);
      continue;
    }
    if (line.empty()) continue;
    std::vector<std::string_view> cells;
    for (bool more = true; more;) {
      const size_t comma = std::min(line.find(','), line.size());
      cells.push_back(line.substr(0, comma));
      more = comma < line.size();
      line.remove_prefix(std::min(comma + 1, line.size()));
    }
    if (cells.size() != 5) {
      return Fail("profile table, line {}: {} values instead of 5", number, cells.size());
    }
    ProfileRow row;
    ControlDecision& configuration = row.configuration;
    STAC_ASSIGN_OR_RETURN(configuration.base_qp, ParseCell(cells[0], number, "base_qp", -20, 71));
    STAC_ASSIGN_OR_RETURN(configuration.keyframe_fps,
                          ParseCell(cells[1], number, "keyframe_fps", 0, 1000));
    STAC_ASSIGN_OR_RETURN(configuration.scale, ParseCell(cells[2], number, "scale", 0.01, 1));
    STAC_ASSIGN_OR_RETURN(row.accuracy, ParseCell(cells[3], number, "accuracy", 0, 1));
    STAC_ASSIGN_OR_RETURN(row.kbps, ParseCell(cells[4], number, "kbps", 0, 1e9));
    rows.push_back(row);
  }
  if (rows.empty()) return Fail("profile table, line 1: there are no rows");
  return rows;
}

std::unique_ptr<Controller> MakeProfileTableController(std::vector<ProfileRow> rows, double share) {
  return std::make_unique<ProfileTableController>(std::move(rows), share);
}

}  // namespace stac
