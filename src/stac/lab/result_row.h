#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "stac/adapt/segment_table.h"
#include "stac/base/result.h"

namespace stac {

// The measured facts of one operating point: one system with one setting of its knobs, one
// network, one clip. Numbers that do not apply (no human labels) are NaN.
struct ResultRow {
  static constexpr double kNone = std::numeric_limits<double>::quiet_NaN();

  std::string key;     // identity, see PointKey
  std::string system;  // curve this point belongs to
  std::string spec;    // canonical text of the system with all settings
  std::string knobs;   // short text: only what was set
  std::string network, network_hash;
  std::string clip, clip_hash;
  std::string profile_hash;
  std::string revision;  // of the code that measured it
  uint64_t seed = 0;
  int frames = 0;      // of the clip, all of them scored
  int keyframes = 0;   // sent
  double fps_key = 0;  // keyframes per second of clip
  double scale = 1;
  double mean_qp = kNone;
  // kilobits per second of clip. total = video + label + feedback.
  double video_kbps = 0;     // coded keyframes, with their message headers
  double label_kbps = 0;     // propagated labels, device to server
  double level_kbps = 0;     // part of the feedback: levels
  double feedback_kbps = 0;  // everything from server to device
  double total_kbps = 0;
  // 0..1, over all frames: against the network on raw frames, and against human labels.
  double pa = 0, miou = 0, pa_human = kNone, miou_human = kNone;
  // Wall-clock seconds; not part of the identity nor of results.csv, which must repeat exactly.
  double encode_s = 0, decode_s = 0, network_s = 0, total_s = 0;
  // What each second was like, where that was asked for (a sweep).
  std::vector<SegmentRow> segments;
};

// The columns of results.csv, in order; `{:.6g}` numbers, empty for NaN.
std::string ResultsCsv(std::vector<ResultRow> rows);
// The seconds of all rows as a segment table, in order; empty if there are none.
std::string SegmentsCsv(const std::vector<ResultRow>& rows);
// Where the time went: one line per row, in the same order.
std::string TimingCsv(std::vector<ResultRow> rows);
// Share of the time of all rows that went into encoding, decoding and networks, 0..1.
double NecessaryShare(const std::vector<ResultRow>& rows);

// A CSV field: quoted where it has to be.
std::string CsvField(const std::string& text);

}  // namespace stac
