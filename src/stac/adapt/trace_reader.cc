#include <algorithm>
#include <charconv>
#include <cmath>

#include "stac/adapt/trace.h"
#include "stac/base/file.h"

namespace stac {
namespace {

constexpr size_t kMaxFileBytes = 256u << 20;
constexpr double kMaxSeconds = 2e5;
constexpr double kMaxKbps = 1e9;
constexpr double kDeadZoneKbps = 250;
constexpr double kLeastGap = 5;
constexpr double kLeastStep = 1e-6;  // seconds: what links are simulated in
constexpr double kGapSteps = 10;
constexpr int kMahimahiStepMs = 100;
constexpr double kMahimahiBits = 1500 * 8;

struct Line {
  size_t number;  // from 1
  std::string_view text;
};

std::string_view Strip(std::string_view text) {
  const size_t first = text.find_first_not_of(" \t\r");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r") - first + 1);
}

std::vector<Line> SplitLines(std::string_view text) {
  std::vector<Line> lines;
  for (size_t number = 1; !text.empty(); ++number) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = Strip(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    if (!line.empty() && line[0] != '#') lines.push_back({number, line});
  }
  return lines;
}

std::optional<double> ParseNumber(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

bool InRange(double value, double most) { return value >= 0 && value <= most; }

bool IsHeader(std::string_view line) { return !ParseNumber(Strip(line.substr(0, line.find(',')))); }

TraceFormat DetectFormat(std::string_view line) {
  if (line.find(',') != std::string_view::npos) return TraceFormat::kCsv;
  return line.find_first_of(" \t") != std::string_view::npos ? TraceFormat::kPensieve
                                                             : TraceFormat::kMahimahi;
}

double MedianStep(const std::vector<TracePoint>& points) {
  if (points.size() < 2) return 1;
  std::vector<double> steps;
  for (size_t i = 1; i < points.size(); ++i) {
    steps.push_back(points[i].time_s - points[i - 1].time_s);
  }
  const auto middle = steps.begin() + static_cast<ptrdiff_t>(steps.size() / 2);
  std::nth_element(steps.begin(), middle, steps.end());
  return *middle;
}

// Lines of two numbers: seconds and a rate in units of kbps_per_unit.
Result<Trace> ParsePairs(const std::vector<Line>& lines, const std::string& name,
                         std::string_view separators, double kbps_per_unit) {
  Trace trace{name, {}, 0};
  double first = 0;
  for (const Line& line : lines) {
    const size_t separator = line.text.find_first_of(separators);
    if (separator == std::string_view::npos) {
      return Fail("trace {}, line {}: expected two numbers, found '{}'", name, line.number,
                  line.text.substr(0, 40));
    }
    const auto time = ParseNumber(Strip(line.text.substr(0, separator)));
    const auto rate = ParseNumber(Strip(line.text.substr(separator + 1)));
    if (!time || !InRange(*time, 1e12)) {
      return Fail("trace {}, line {}: the time must be a number that is not negative", name,
                  line.number);
    }
    if (!rate || !InRange(*rate * kbps_per_unit, kMaxKbps)) {
      return Fail("trace {}, line {}: the bandwidth must be a number within 0..{:g} kb/s", name,
                  line.number, kMaxKbps);
    }
    if (trace.points.empty()) first = *time;
    const double seconds = *time - first;
    if (!trace.points.empty() && seconds < trace.points.back().time_s + kLeastStep) {
      return Fail(
          "trace {}, line {}: the time {:g} does not come at least a microsecond after the one "
          "before; sort the lines by time",
          name, line.number, *time);
    }
    if (seconds > kMaxSeconds) {
      return Fail("trace {}, line {}: more than {:g} seconds", name, line.number, kMaxSeconds);
    }
    trace.points.push_back({seconds, *rate * kbps_per_unit});
  }
  const double step = MedianStep(trace.points);
  for (size_t i = 1; i < trace.points.size(); ++i) {
    const TracePoint& before = trace.points[i - 1];
    const double gap = trace.points[i].time_s - before.time_s;
    if (gap > std::max(kGapSteps * step, kLeastGap) && before.kbps > kDeadZoneKbps) {
      return Fail("trace {}, line {}: a gap of {:.1f} s, where lines are {:.1f} s apart", name,
                  lines[i].number, gap, step);
    }
  }
  trace.duration_s = trace.points.back().time_s + step;
  return trace;
}

Result<Trace> ParseMahimahi(const std::vector<Line>& lines, const std::string& name) {
  std::vector<int64_t> opportunities;
  for (const Line& line : lines) {
    int64_t ms = 0;
    const char* end = line.text.data() + line.text.size();
    const auto [stop, error] = std::from_chars(line.text.data(), end, ms);
    if (error != std::errc() || stop != end || ms < 0) {
      return Fail("trace {}, line {}: expected a time in whole milliseconds, found '{}'", name,
                  line.number, line.text.substr(0, 40));
    }
    if (!opportunities.empty() && ms < opportunities.back()) {
      return Fail("trace {}, line {}: {} ms comes before the line above; sort the lines", name,
                  line.number, ms);
    }
    if (static_cast<double>(ms) > kMaxSeconds * 1000) {
      return Fail("trace {}, line {}: more than {:g} seconds", name, line.number, kMaxSeconds);
    }
    opportunities.push_back(ms);
  }
  const int64_t duration_ms = opportunities.back();
  if (duration_ms == 0) {
    return Fail("trace {}, line {}: a trace needs more than one millisecond", name,
                lines.back().number);
  }
  Trace trace{name, {}, static_cast<double>(duration_ms) / 1000};
  size_t next = 0;
  for (int64_t from = 0; from < duration_ms; from += kMahimahiStepMs) {
    const int64_t to = std::min(from + kMahimahiStepMs, duration_ms);
    double bits = 0;
    // The last opportunity is at the very end and belongs to the last step.
    for (; next < opportunities.size() && (opportunities[next] < to || to == duration_ms); ++next) {
      bits += kMahimahiBits;
    }
    trace.points.push_back(
        {static_cast<double>(from) / 1000, bits / static_cast<double>(to - from)});
  }
  return trace;
}

}  // namespace

Result<Trace> ParseTrace(std::string_view text, const std::string& name, TraceFormat format) {
  std::vector<Line> lines = SplitLines(text);
  const bool csv = format == TraceFormat::kCsv || format == TraceFormat::kAuto;
  if (csv && !lines.empty() && lines[0].text.find(',') != std::string_view::npos &&
      IsHeader(lines[0].text)) {
    if (Strip(lines[0].text) != "time_s,kbps") {
      return Fail("trace {}, line {}: the header must be time_s,kbps, not '{}'", name,
                  lines[0].number, lines[0].text.substr(0, 40));
    }
    lines.erase(lines.begin());
  }
  if (lines.empty()) return Fail("trace {}, line 1: there are no points", name);
  if (format == TraceFormat::kAuto) format = DetectFormat(lines[0].text);
  Result<Trace> trace = format == TraceFormat::kMahimahi ? ParseMahimahi(lines, name)
                        : format == TraceFormat::kCsv    ? ParsePairs(lines, name, ",", 1)
                                                         : ParsePairs(lines, name, " \t", 1000);
  if (trace && Statistics(*trace).max_kbps == 0) {
    return Fail("trace {}, line {}: there is no bandwidth at all", name, lines.back().number);
  }
  return trace;
}

Result<Trace> ReadTrace(const std::filesystem::path& path, TraceFormat format) {
  STAC_ASSIGN_OR_RETURN(const Bytes contents, ReadFile(path, kMaxFileBytes));
  return ParseTrace(AsText(contents), path.stem().string(), format);
}

std::string ToCsv(const Trace& trace) {
  std::string csv = "time_s,kbps\n";
  for (const TracePoint& point : trace.points) {
    csv += fmt::format("{:.6f},{:.3f}\n", point.time_s, point.kbps);
  }
  return csv;
}

}  // namespace stac
