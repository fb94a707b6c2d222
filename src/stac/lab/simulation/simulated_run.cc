#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <tuple>

#include "stac/lab/result_row.h"
#include "stac/lab/simulation/simulate.h"

namespace stac {
namespace {

using Json = nlohmann::json;

std::vector<const SimulatedRun*> Sorted(const std::vector<SimulatedRun>& runs) {
  std::vector<const SimulatedRun*> sorted;
  for (const SimulatedRun& run : runs) sorted.push_back(&run);
  std::stable_sort(sorted.begin(), sorted.end(), [](const auto* a, const auto* b) {
    return std::tie(a->network_type, a->trace, a->network, a->clip) <
           std::tie(b->network_type, b->trace, b->network, b->clip);
  });
  return sorted;
}

std::string Names(const SimulatedRun& run) {
  return fmt::format("{},{},{},{},{}", CsvField(run.system), CsvField(run.network_type),
                     CsvField(run.trace), CsvField(run.network), CsvField(run.clip));
}

std::string CommonNumbers(const StreamSummary& s) {
  return fmt::format("{:.5f},{:.1f},{:.1f},{:.1f},{:.1f}", s.pa, s.delay_p50_ms, s.delay_p99_ms,
                     s.use_percent, s.overshoot_percent);
}

constexpr char kCommonHeader[] =
    "system,network_type,trace,network,clips,pa,delay_p50_ms,delay_p99_ms,use_percent,"
    "overshoot_percent";

// One list of the numbers serves writing and reading.
template <typename Summary, typename Visit>
void VisitSummary(Summary& s, Visit&& visit) {
  visit("pa", s.pa);
  visit("pa_at_hand", s.pa_at_hand);
  visit("pa_waited", s.pa_waited);
  visit("waited_p50_ms", s.waited_p50_ms);
  visit("waited_p99_ms", s.waited_p99_ms);
  visit("delay_p50_ms", s.delay_p50_ms);
  visit("delay_p99_ms", s.delay_p99_ms);
  visit("use_percent", s.use_percent);
  visit("overshoot_percent", s.overshoot_percent);
  visit("missing", s.missing);
  visit("coded_kbps", s.coded_kbps);
  visit("bandwidth_kbps", s.bandwidth_kbps);
}
template <typename Second, typename Visit>
void VisitSecond(Second& s, Visit&& visit) {
  visit("bandwidth_kbps", s.bandwidth_kbps);
  visit("told_kbps", s.told_kbps);
  visit("coded_kbps", s.coded_kbps);
  visit("keyframes", s.keyframes);
  visit("base_qp", s.decision.base_qp);
  visit("keyframe_fps", s.decision.keyframe_fps);
  visit("scale", s.decision.scale);
  visit("pa", s.pa);
}

}  // namespace

std::string AdaptationCsv(const std::vector<SimulatedRun>& runs) {
  std::string csv = std::string(kCommonHeader) + "\n";
  for (const SimulatedRun* run : Sorted(runs)) {
    csv += Names(*run) + "," + CommonNumbers(run->summary) + "\n";
  }
  return csv;
}

std::string RunsCsv(const std::vector<SimulatedRun>& runs) {
  std::string csv = std::string(kCommonHeader) +
                    ",pa_at_hand,pa_waited,waited_p50_ms,"
                    "waited_p99_ms,missing,coded_kbps,bandwidth_kbps\n";
  for (const SimulatedRun* run : Sorted(runs)) {
    const StreamSummary& s = run->summary;
    csv += fmt::format("{},{},{:.5f},{:.5f},{:.1f},{:.1f},{},{:.1f},{:.1f}\n", Names(*run),
                       CommonNumbers(s), s.pa_at_hand, s.pa_waited, s.waited_p50_ms,
                       s.waited_p99_ms, s.missing, s.coded_kbps, s.bandwidth_kbps);
  }
  return csv;
}

std::string SecondsCsv(const std::vector<SimulatedRun>& runs) {
  std::string csv =
      "system,network_type,trace,network,clips,second,bandwidth_kbps,told_kbps,coded_kbps,"
      "keyframes,base_qp,keyframe_fps,scale,pa\n";
  for (const SimulatedRun* run : Sorted(runs)) {
    for (size_t i = 0; i < run->seconds.size(); ++i) {
      const SecondOutcome& s = run->seconds[i];
      csv += fmt::format("{},{},{:.1f},{:.1f},{:.1f},{},{:.2f},{:.2f},{:.3g},{:.5f}\n", Names(*run),
                         i, s.bandwidth_kbps, s.told_kbps, s.coded_kbps, s.keyframes,
                         s.decision.base_qp, s.decision.keyframe_fps, s.decision.scale, s.pa);
    }
  }
  return csv;
}

std::string SimulationTable(const std::vector<SimulatedRun>& runs) {
  struct Mean {
    StreamSummary sum;
    double worst_p99 = 0;
    int count = 0;
  };
  std::vector<std::pair<std::string, Mean>> means;  // in the order of the runs
  for (const SimulatedRun& run : runs) {
    const std::string name = fmt::format("{:<14} {:<14} {:<14} {:<20}", run.network, run.clip,
                                         run.network_type, run.system);
    auto found = std::find_if(means.begin(), means.end(),
                              [&](const auto& mean) { return mean.first == name; });
    if (found == means.end()) found = means.insert(means.end(), {name, {}});
    Mean& mean = found->second;
    VisitSummary(mean.sum, [&](const std::string& key, auto& value) {
      VisitSummary(run.summary, [&](const std::string& other, const auto& add) {
        if (key == other) value += static_cast<std::decay_t<decltype(value)>>(add);
      });
    });
    mean.worst_p99 = std::max(mean.worst_p99, run.summary.delay_p99_ms);
    ++mean.count;
  }
  std::string table =
      fmt::format("{:<14} {:<14} {:<14} {:<20} {:>7} {:>8} {:>8} {:>8} {:>9} {:>6} {:>6} {:>7}\n",
                  "network", "clip", "network type", "system", "PA %", "at hand", "waited",
                  "p50 ms", "worst p99", "use %", "over %", "missing");
  for (const auto& [name, mean] : means) {
    const StreamSummary& s = mean.sum;
    table +=
        fmt::format("{} {:>7.2f} {:>8.2f} {:>8.2f} {:>8.0f} {:>9.0f} {:>6.1f} {:>6.1f} {:>7}\n",
                    name, 100 * s.pa / mean.count, 100 * s.pa_at_hand / mean.count,
                    100 * s.pa_waited / mean.count, s.delay_p50_ms / mean.count, mean.worst_p99,
                    s.use_percent / mean.count, s.overshoot_percent / mean.count, s.missing);
  }
  return table;
}

std::string RunToJson(const SimulatedRun& run) {
  Json json = {{"system", run.system}, {"network_type", run.network_type},
               {"trace", run.trace},   {"network", run.network},
               {"clip", run.clip},     {"revision", run.revision}};
  VisitSummary(run.summary, [&](const char* key, const auto& value) { json[key] = value; });
  json["seconds"] = Json::array();
  for (const SecondOutcome& second : run.seconds) {
    Json one;
    VisitSecond(second, [&](const char* key, const auto& value) { one[key] = value; });
    json["seconds"].push_back(std::move(one));
  }
  return json.dump(1) + "\n";
}

Result<SimulatedRun> RunFromJson(std::string_view text) {
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return Fail("not a JSON object");
  std::string wrong;
  const auto read_text = [&](const char* key, std::string& to) {
    const auto found = json.find(key);
    if (found == json.end() || !found->is_string()) {
      wrong = key;
    } else {
      to = found->get<std::string>();
    }
  };
  const auto number_of = [&](const Json& from) {
    return [&wrong, &from](const char* key, auto& to) {
      const auto found = from.find(key);
      using Number = std::decay_t<decltype(to)>;
      if (found != from.end() && found->is_null() && std::is_floating_point_v<Number>) {
        to = static_cast<Number>(NAN);  // which JSON writes as null
      } else if (found == from.end() || !found->is_number()) {
        wrong = key;
      } else {
        to = found->template get<Number>();
      }
    };
  };
  SimulatedRun run;
  read_text("system", run.system);
  read_text("network_type", run.network_type);
  read_text("trace", run.trace);
  read_text("network", run.network);
  read_text("clip", run.clip);
  read_text("revision", run.revision);
  VisitSummary(run.summary, number_of(json));
  const auto seconds = json.find("seconds");
  if (seconds == json.end() || !seconds->is_array()) return Fail("'seconds' is missing");
  for (const Json& one : *seconds) {
    if (!one.is_object()) return Fail("a second is no object");
    VisitSecond(run.seconds.emplace_back(), number_of(one));
  }
  if (!wrong.empty()) return Fail("'{}' is missing or wrong", wrong);
  return run;
}

}  // namespace stac
