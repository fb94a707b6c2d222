#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "stac/adapt/controller.h"
#include "stac/base/result.h"

namespace stac {

// One row of section VI's table <B, fps, Acc, Bit, c, d>: what one system with one configuration
// made of one second of a clip. `stac sweep` measures it; tuners are trained and profiles made
// from it.
//
// File (CSV, one line per row, numbers with six digits; commas and quotes in names become '_'):
//   system,network,clip,segment,base_qp,keyframe_fps,scale,accuracy,kbps,video_kbps,c,d
struct SegmentRow {
  std::string system;   // curve of the experiment, for example stac, accmpeg
  std::string network;  // segmentation network
  std::string clip;
  int segment = 0;  // second of the clip, from 0; the first one carries the IDR
  // base_qp: the system's quality knob as a QP; keyframe_fps: what was asked for, at most the
  // clip's rate.
  ControlDecision configuration;
  double accuracy = 0;    // pixel accuracy over all frames of the second, 0..1
  double kbps = 0;        // video and feedback
  double video_kbps = 0;  // of it from device to server: what the uplink carries
  double c = 0;           // content_metrics.h, averages over the second's raw frames
  double d = 0;
  friend bool operator==(const SegmentRow&, const SegmentRow&) = default;
};

std::string ToCsv(const std::vector<SegmentRow>& rows);
// Untrusted: errors name the line. At least one row.
Result<std::vector<SegmentRow>> ParseSegmentTable(std::string_view csv);
Result<std::vector<SegmentRow>> ReadSegmentTable(const std::filesystem::path& path);

// Which of a row's bits count.
enum class SegmentBits { kUplink, kTotal };
double KbpsOf(const SegmentRow& row, SegmentBits bits);

// The paper's filter: without the rows that another row of the same second (system, network, clip
// and segment) beats, that is, matches in accuracy and bits and exceeds in one of them. Rows of one
// second stay together, cheapest first; seconds are in alphabetical and temporal order.
std::vector<SegmentRow> FilterSegments(std::vector<SegmentRow> rows, SegmentBits bits);

// The offline accuracy-bitrate profile of common practice: the means of every configuration over
// all given seconds (of several systems only one should be left in `rows`) but each clip's first,
// which carries the IDR: a stream is what comes after it. A clip's highest keyframe rate stands for
// the highest of all clips, as both mean every frame where clips have different rates.
// Configurations that were not measured in every second are left out: their means would be of other
// content. Sorted by configuration.
std::vector<ProfileRow> ProfileOfSegments(const std::vector<SegmentRow>& rows, SegmentBits bits);

}  // namespace stac
