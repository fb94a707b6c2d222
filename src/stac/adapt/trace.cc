#include "stac/adapt/trace.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>
#include <utility>

#include "stac/base/check.h"

namespace stac {
namespace {

constexpr double kNever = 1e18;  // microseconds, within what Micros holds

void CheckTrace(const Trace& trace) {
  STAC_CHECK(!trace.points.empty());
  STAC_CHECK_GT(trace.duration_s, trace.points.back().time_s);
}

double EndOf(const Trace& trace, size_t i) {
  return i + 1 < trace.points.size() ? trace.points[i + 1].time_s : trace.duration_s;
}

// The step that holds at `time` (0 <= time < duration).
size_t StepAt(const Trace& trace, double time) {
  const auto after =
      std::upper_bound(trace.points.begin(), trace.points.end(), time,
                       [](double t, const TracePoint& point) { return t < point.time_s; });
  return static_cast<size_t>(std::max<ptrdiff_t>(0, after - trace.points.begin() - 1));
}

}  // namespace

Trace ConstantTrace(double kbps) { return {fmt::format("constant-{:g}", kbps), {{0, kbps}}, 1.0}; }

double KbpsAt(const Trace& trace, double time_s) {
  CheckTrace(trace);
  return trace.points[StepAt(trace, std::fmod(time_s, trace.duration_s))].kbps;
}

Trace Cut(const Trace& trace, double start_s, double length_s) {
  CheckTrace(trace);
  STAC_CHECK_GE(start_s, 0.0);
  STAC_CHECK_GT(length_s, 0.0);
  Trace cut{trace.name, {}, length_s};
  double phase = std::fmod(start_s, trace.duration_s);
  size_t step = StepAt(trace, phase);
  for (double time = 0; time < length_s;) {
    cut.points.push_back({time, trace.points[step].kbps});
    time += EndOf(trace, step) - phase;
    step = (step + 1) % trace.points.size();
    phase = trace.points[step].time_s;
  }
  return cut;
}

Trace Resample(const Trace& trace, double step_s) {
  STAC_CHECK_GT(step_s, 0.0);
  const TraceIntegral integral(trace);
  Trace resampled{trace.name, {}, trace.duration_s};
  const auto to_micros = [](double seconds) { return static_cast<Micros>(seconds * 1e6 + 0.5); };
  for (size_t i = 0;; ++i) {
    const double from = static_cast<double>(i) * step_s;
    // A rest of less than a microsecond is rounding, not a step.
    if (trace.duration_s - from < 1e-6) break;
    const Micros begin = to_micros(from);
    const Micros end = to_micros(std::min(from + step_s, trace.duration_s));
    const double bits = integral.BitsUntil(end) - integral.BitsUntil(begin);
    resampled.points.push_back({from, bits * 1000 / static_cast<double>(end - begin)});
  }
  return resampled;
}

Trace Scale(const Trace& trace, double factor) {
  STAC_CHECK_GT(factor, 0.0);
  Trace scaled = trace;
  scaled.name += fmt::format("-scaled-{:g}", factor);
  for (TracePoint& point : scaled.points) point.kbps *= factor;
  return scaled;
}

TraceStatistics Statistics(const Trace& trace) {
  CheckTrace(trace);
  TraceStatistics result{.min_kbps = trace.points[0].kbps,
                         .max_kbps = trace.points[0].kbps,
                         .duration_s = trace.duration_s};
  double squares = 0;
  for (size_t i = 0; i < trace.points.size(); ++i) {
    const double kbps = trace.points[i].kbps;
    const double weight = (EndOf(trace, i) - trace.points[i].time_s) / trace.duration_s;
    result.mean_kbps += weight * kbps;
    squares += weight * kbps * kbps;
    result.min_kbps = std::min(result.min_kbps, kbps);
    result.max_kbps = std::max(result.max_kbps, kbps);
  }
  result.sd_kbps = std::sqrt(std::max(0.0, squares - result.mean_kbps * result.mean_kbps));
  return result;
}

std::string ToString(const TraceStatistics& s) {
  return fmt::format("{:.2f} +- {:.2f} Mb/s ({:.2f}..{:.2f}), {:.0f} s", s.mean_kbps / 1000,
                     s.sd_kbps / 1000, s.min_kbps / 1000, s.max_kbps / 1000, s.duration_s);
}

std::vector<bool> TestTraces(size_t count, double test_fraction, uint64_t seed) {
  auto test_count = static_cast<size_t>(std::lround(static_cast<double>(count) * test_fraction));
  if (count >= 2) test_count = std::clamp<size_t>(test_count, 1, count - 1);
  std::vector<size_t> order(count);
  std::iota(order.begin(), order.end(), size_t{0});
  // Not std::shuffle: its result differs between standard libraries.
  std::mt19937_64 random(seed);
  for (size_t i = count; i > 1; --i) std::swap(order[i - 1], order[random() % i]);
  std::vector<bool> is_test(count, false);
  for (size_t i = 0; i < std::min(test_count, count); ++i) is_test[order[i]] = true;
  return is_test;
}

Trace SyntheticWifiTrace(double duration_s, uint64_t seed) {
  STAC_CHECK_GT(duration_s, 0.0);
  constexpr int kCells = 20;
  constexpr double kOn = 0.15;
  constexpr int kDrawnPerStep = 2;
  constexpr double kMeanKbps = 5100;
  constexpr double kSdKbps = 2700;
  const double per_cell = kSdKbps / std::sqrt(kCells * kOn * (1 - kOn));
  const double offset = kMeanKbps - per_cell * kCells * kOn;  // 27 kb/s

  std::mt19937_64 random(seed);
  const auto draw = [&] { return static_cast<double>(random() >> 11) * 0x1p-53 < kOn; };
  bool cells[kCells];
  for (bool& cell : cells) cell = draw();
  Trace trace{fmt::format("synthetic-wifi-{}", seed), {}, duration_s};
  for (int second = 0; second < duration_s; ++second) {
    const auto on = static_cast<double>(std::count(std::begin(cells), std::end(cells), true));
    trace.points.push_back({static_cast<double>(second), offset + per_cell * on});
    for (int i = 0; i < kDrawnPerStep; ++i) cells[random() % kCells] = draw();
  }
  return trace;
}

TraceIntegral::TraceIntegral(const Trace& trace) {
  CheckTrace(trace);
  double bits = 0;
  for (size_t i = 0; i < trace.points.size(); ++i) {
    times_us_.push_back(trace.points[i].time_s * 1e6);
    bits_.push_back(bits);
    bits += (EndOf(trace, i) - trace.points[i].time_s) * trace.points[i].kbps * 1000;
  }
  times_us_.push_back(trace.duration_s * 1e6);
  bits_.push_back(bits);
}

double TraceIntegral::BitsUntil(Micros time) const {
  const double periods = std::floor(static_cast<double>(time) / times_us_.back());
  const double phase = static_cast<double>(time) - periods * times_us_.back();
  const auto after = std::upper_bound(times_us_.begin(), times_us_.end(), phase);
  const auto i = static_cast<size_t>(std::clamp<ptrdiff_t>(
      after - times_us_.begin(), 1, static_cast<ptrdiff_t>(times_us_.size()) - 1));
  const double share = (phase - times_us_[i - 1]) / (times_us_[i] - times_us_[i - 1]);
  return periods * bits_.back() + bits_[i - 1] + share * (bits_[i] - bits_[i - 1]);
}

std::optional<Micros> TraceIntegral::Finish(Micros start, double bits) const {
  if (bits <= 0) return start;
  if (bits_.back() <= 0) return std::nullopt;
  const double target = BitsUntil(start) + bits;
  double periods = std::floor(target / bits_.back());
  double rest = target - periods * bits_.back();
  if (rest <= 0) {  // exactly at the end of a period, not after the dead time that may follow
    periods -= 1;
    rest = bits_.back();
  }
  const auto reached = std::lower_bound(bits_.begin() + 1, bits_.end(), rest);
  const auto i = static_cast<size_t>(
      std::min<ptrdiff_t>(reached - bits_.begin(), static_cast<ptrdiff_t>(bits_.size()) - 1));
  const double share = (rest - bits_[i - 1]) / (bits_[i] - bits_[i - 1]);
  const double time =
      periods * times_us_.back() + times_us_[i - 1] + share * (times_us_[i] - times_us_[i - 1]);
  if (time >= kNever) return std::nullopt;
  // Rounding errors must not cost a microsecond.
  return std::max(start, static_cast<Micros>(std::ceil(time - 1e-3)));
}

}  // namespace stac
