#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "stac/base/clock.h"
#include "stac/base/result.h"

namespace stac {

struct TracePoint {
  double time_s = 0;
  double kbps = 0;
  friend bool operator==(const TracePoint&, const TracePoint&) = default;
};

// Bandwidth over time, piecewise constant: each point holds until the next one, the last one until
// duration_s; then the trace starts again. The first point is at time 0, times increase, rates are
// finite and not negative.
struct Trace {
  std::string name;
  std::vector<TracePoint> points;
  double duration_s = 0;
};

Trace ConstantTrace(double kbps);

enum class TraceFormat {
  kAuto,
  kCsv,       // "time_s,kbps", with or without that header line
  kMahimahi,  // a millisecond per line, each an opportunity to deliver 1500 bytes
  kPensieve,  // "seconds Mb/s"
};

// Reads untrusted text; blank lines and lines starting with '#' are skipped. Times are shifted so
// that the trace starts at 0; the last point of CSV and Pensieve traces lasts for the median step.
// Mahimahi traces become steps of 100 ms. Errors name the line: numbers that are missing, negative,
// not finite or absurdly large, times that do not increase, gaps (more than ten times the median
// step and 5 s, unless the rate before was at most 250 kb/s: logs of mobile networks stop in dead
// zones), and traces without points or bandwidth.
Result<Trace> ParseTrace(std::string_view text, const std::string& name,
                         TraceFormat format = TraceFormat::kAuto);
// The name of the trace is the file's, without folder and extension.
Result<Trace> ReadTrace(const std::filesystem::path& path, TraceFormat format = TraceFormat::kAuto);
// "time_s,kbps", as ParseTrace reads it.
std::string ToCsv(const Trace& trace);

// Rate at a time (>= 0), with repetition.
double KbpsAt(const Trace& trace, double time_s);
// The mean rates of steps of step_s (> 0); a last, shorter step is kept.
Trace Resample(const Trace& trace, double step_s);
// All rates times `factor` (> 0); "scaled" becomes part of the name.
Trace Scale(const Trace& trace, double factor);
// length_s (> 0) seconds from start_s (>= 0), with repetition.
Trace Cut(const Trace& trace, double start_s, double length_s);

struct TraceStatistics {
  double mean_kbps = 0;  // all weighted by time
  double sd_kbps = 0;
  double min_kbps = 0;
  double max_kbps = 0;
  double duration_s = 0;
};
TraceStatistics Statistics(const Trace& trace);
// For example "1.28 +- 0.61 Mb/s (0.00..4.10), 195 s".
std::string ToString(const TraceStatistics& statistics);

// Which of `count` traces are for testing: round(count * test_fraction) of them, at least one of
// each kind if count >= 2, drawn by seed.
std::vector<bool> TestTraces(size_t count, double test_fraction, uint64_t seed);

// A Markov process with steps of one second and the moments that the paper gives for its WiFi
// traces, 5.1 +- 2.7 Mb/s: twenty cells are each on with probability 0.15, every second two of
// them are drawn anew, the rate is affine in their number (so binomial). Correlation time 10 s.
// There is no public log behind it: its name starts with "synthetic-wifi".
Trace SyntheticWifiTrace(double duration_s, uint64_t seed);

// What a trace delivers, for simulation in microseconds. Immutable.
class TraceIntegral {
 public:
  explicit TraceIntegral(const Trace& trace);
  // Bits delivered from time 0 on, if they are always used.
  double BitsUntil(Micros time) const;
  // When `bits` more have been delivered after `start`: the first whole microsecond. nullopt if
  // the trace has no bandwidth at all, or so little that it takes thousands of years.
  std::optional<Micros> Finish(Micros start, double bits) const;

 private:
  std::vector<double> times_us_;  // starts of the steps, and the duration
  std::vector<double> bits_;      // delivered by then
};

}  // namespace stac
