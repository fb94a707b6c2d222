#include "stac/lab/result_row.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <tuple>

namespace stac {
namespace {

std::string Number(double value) { return std::isnan(value) ? "" : fmt::format("{:.6g}", value); }

// Independent of the order in which workers finished.
void SortRows(std::vector<ResultRow>& rows) {
  std::sort(rows.begin(), rows.end(), [](const ResultRow& a, const ResultRow& b) {
    return std::tie(a.network, a.clip, a.system, a.total_kbps, a.spec, a.key) <
           std::tie(b.network, b.clip, b.system, b.total_kbps, b.spec, b.key);
  });
}

}  // namespace

std::string CsvField(const std::string& text) {
  if (text.find_first_of(",\"\n\r") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  return quoted + '"';
}

std::string ResultsCsv(std::vector<ResultRow> rows) {
  SortRows(rows);
  std::string csv =
      "system,network,clip,knobs,frames,keyframes,fps_key,scale,mean_qp,video_kbps,label_kbps,"
      "level_kbps,feedback_kbps,total_kbps,pa,miou,pa_human,miou_human,seed,revision,network_hash,"
      "clip_hash,profile_hash,spec\n";
  for (const ResultRow& row : rows) {
    csv += fmt::format(
        "{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}\n",
        CsvField(row.system), CsvField(row.network), CsvField(row.clip), CsvField(row.knobs),
        row.frames, row.keyframes, Number(row.fps_key), Number(row.scale), Number(row.mean_qp),
        Number(row.video_kbps), Number(row.label_kbps), Number(row.level_kbps),
        Number(row.feedback_kbps), Number(row.total_kbps), Number(row.pa), Number(row.miou),
        Number(row.pa_human), Number(row.miou_human), row.seed, CsvField(row.revision),
        row.network_hash, row.clip_hash, row.profile_hash, CsvField(row.spec));
  }
  return csv;
}

std::string TimingCsv(std::vector<ResultRow> rows) {
  SortRows(rows);
  std::string csv = "system,network,clip,knobs,encode_s,decode_s,network_s,total_s\n";
  for (const ResultRow& row : rows) {
    csv += fmt::format("{},{},{},{},{:.3f},{:.3f},{:.3f},{:.3f}\n", CsvField(row.system),
                       CsvField(row.network), CsvField(row.clip), CsvField(row.knobs), row.encode_s,
                       row.decode_s, row.network_s, row.total_s);
  }
  return csv;
}

std::string SegmentsCsv(const std::vector<ResultRow>& rows) {
  std::vector<SegmentRow> segments;
  for (const ResultRow& row : rows) {
    segments.insert(segments.end(), row.segments.begin(), row.segments.end());
  }
  if (segments.empty()) return {};
  const auto key = [](const SegmentRow& row) {
    return std::tie(row.network, row.clip, row.system, row.segment, row.configuration.scale,
                    row.configuration.keyframe_fps, row.configuration.base_qp, row.video_kbps);
  };
  std::sort(segments.begin(), segments.end(),
            [&](const SegmentRow& a, const SegmentRow& b) { return key(a) < key(b); });
  return ToCsv(segments);
}

double NecessaryShare(const std::vector<ResultRow>& rows) {
  double necessary = 0, total = 0;
  for (const ResultRow& row : rows) {
    necessary += row.encode_s + row.decode_s + row.network_s;
    total += row.total_s;
  }
  return total > 0 ? necessary / total : 0;
}

}  // namespace stac
