#include "stac/adapt/segment_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <tuple>

#include "stac/adapt/csv_internal.h"
#include "stac/base/file.h"

namespace stac {
namespace {

constexpr std::string_view kTable = "segment table";
constexpr std::string_view kHeader =
    "system,network,clip,segment,base_qp,keyframe_fps,scale,accuracy,kbps,video_kbps,c,d";
constexpr size_t kMaxFileBytes = 256u << 20;

std::string Name(std::string name) {
  for (char& c : name) {
    if (c == ',' || c == '"' || static_cast<unsigned char>(c) < ' ') c = '_';
  }
  return name;
}

auto SecondOf(const SegmentRow& row) {
  return std::tie(row.system, row.network, row.clip, row.segment);
}

}  // namespace

std::string ToCsv(const std::vector<SegmentRow>& rows) {
  std::string csv = fmt::format("{}\n", kHeader);
  for (const SegmentRow& row : rows) {
    csv +=
        fmt::format("{},{},{},{},{:.6g},{:.6g},{:.6g},{:.6g},{:.6g},{:.6g},{:.6g},{:.6g}\n",
                    Name(row.system), Name(row.network), Name(row.clip), row.segment,
                    row.configuration.base_qp, row.configuration.keyframe_fps,
                    row.configuration.scale, row.accuracy, row.kbps, row.video_kbps, row.c, row.d);
  }
  return csv;
}

Result<std::vector<SegmentRow>> ParseSegmentTable(std::string_view csv) {
  STAC_ASSIGN_OR_RETURN(const auto lines, ParseCsv(csv, kHeader, kTable));
  std::vector<SegmentRow> rows;
  rows.reserve(lines.size());
  for (const CsvRow& line : lines) {
    const auto cell = [&](size_t at, std::string_view name, double low, double high) {
      return ParseCell(line, at, name, low, high, kTable);
    };
    SegmentRow row{.system = std::string(line.cells[0]),
                   .network = std::string(line.cells[1]),
                   .clip = std::string(line.cells[2])};
    STAC_ASSIGN_OR_RETURN(const double segment, cell(3, "segment", 0, 1e9));
    row.segment = static_cast<int>(segment);
    if (row.segment != segment) {
      return Fail("{}, line {}: segment must be a whole number", kTable, line.line);
    }
    STAC_ASSIGN_OR_RETURN(row.configuration.base_qp, cell(4, "base_qp", -20, 71));
    STAC_ASSIGN_OR_RETURN(row.configuration.keyframe_fps, cell(5, "keyframe_fps", 0, 1000));
    STAC_ASSIGN_OR_RETURN(row.configuration.scale, cell(6, "scale", 0.01, 1));
    STAC_ASSIGN_OR_RETURN(row.accuracy, cell(7, "accuracy", 0, 1));
    STAC_ASSIGN_OR_RETURN(row.kbps, cell(8, "kbps", 0, 1e9));
    STAC_ASSIGN_OR_RETURN(row.video_kbps, cell(9, "video_kbps", 0, 1e9));
    STAC_ASSIGN_OR_RETURN(row.c, cell(10, "c", 0, 1e12));
    STAC_ASSIGN_OR_RETURN(row.d, cell(11, "d", 0, 1e12));
    rows.push_back(std::move(row));
  }
  return rows;
}

Result<std::vector<SegmentRow>> ReadSegmentTable(const std::filesystem::path& path) {
  STAC_ASSIGN_OR_RETURN(const Bytes contents, ReadFile(path, kMaxFileBytes));
  auto rows = ParseSegmentTable(AsText(contents));
  if (!rows) return Fail("{}: {}", path.string(), rows.error().message);
  return rows;
}

double KbpsOf(const SegmentRow& row, SegmentBits bits) {
  return bits == SegmentBits::kUplink ? row.video_kbps : row.kbps;
}

std::vector<SegmentRow> FilterSegments(std::vector<SegmentRow> rows, SegmentBits bits) {
  std::stable_sort(rows.begin(), rows.end(), [&](const SegmentRow& a, const SegmentRow& b) {
    if (SecondOf(a) != SecondOf(b)) return SecondOf(a) < SecondOf(b);
    const double kbps_a = KbpsOf(a, bits), kbps_b = KbpsOf(b, bits);
    return kbps_a != kbps_b ? kbps_a < kbps_b : a.accuracy > b.accuracy;
  });
  std::vector<SegmentRow> kept;
  for (SegmentRow& row : rows) {
    if (kept.empty() || SecondOf(kept.back()) != SecondOf(row) ||
        row.accuracy > kept.back().accuracy) {
      kept.push_back(std::move(row));
    }
  }
  return kept;
}

std::vector<ProfileRow> ProfileOfSegments(const std::vector<SegmentRow>& rows, SegmentBits bits) {
  using Clip = std::tuple<std::string, std::string, std::string>;
  const auto clip_of = [](const SegmentRow& row) {
    return Clip(row.system, row.network, row.clip);
  };
  std::map<Clip, double> highest_fps;
  double highest = 0;
  for (const SegmentRow& row : rows) {
    double& of_clip = highest_fps[clip_of(row)];
    of_clip = std::max(of_clip, row.configuration.keyframe_fps);
    highest = std::max(highest, of_clip);
  }

  struct Sum {
    double accuracy = 0, kbps = 0;
    int rows = 0;
    std::set<std::tuple<std::string, std::string, std::string, int>> seconds;
  };
  std::map<std::tuple<double, double, double>, Sum> sums;
  std::set<std::tuple<std::string, std::string, std::string, int>> seconds;
  for (const SegmentRow& row : rows) {
    if (row.segment == 0) continue;
    const ControlDecision& at = row.configuration;
    const bool every_frame = at.keyframe_fps == highest_fps[clip_of(row)];
    Sum& sum = sums[{at.base_qp, every_frame ? highest : at.keyframe_fps, at.scale}];
    sum.accuracy += row.accuracy;
    sum.kbps += KbpsOf(row, bits);
    sum.rows += 1;
    sum.seconds.insert(SecondOf(row));
    seconds.insert(SecondOf(row));
  }
  std::vector<ProfileRow> profile;
  for (const auto& [configuration, sum] : sums) {
    if (sum.seconds.size() < seconds.size()) continue;
    const auto& [base_qp, keyframe_fps, scale] = configuration;
    profile.push_back(
        {{base_qp, keyframe_fps, scale}, sum.accuracy / sum.rows, sum.kbps / sum.rows});
  }
  return profile;
}

}  // namespace stac
