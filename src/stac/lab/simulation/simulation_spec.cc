#include "stac/lab/simulation/simulation_spec.h"

#include <algorithm>
#include <sstream>

#include "stac/base/file.h"
#include "stac/lab/toml_reader_internal.h"

namespace stac {
namespace {

namespace fs = std::filesystem;

const std::vector<std::pair<std::string, ControllerKind>> kControllers = {
    {"fixed", ControllerKind::kFixed},
    {"profile", ControllerKind::kProfile},
    {"tuner", ControllerKind::kTuner},
    {"casva", ControllerKind::kCasva},
};

template <typename Value>
Value Named(TomlReader& reader, const toml::table& table, const std::string& key,
            const std::vector<std::pair<std::string, Value>>& choices) {
  std::vector<std::string> names;
  for (const auto& [name, value] : choices) names.push_back(name);
  const std::string text = reader.Choice(table, key, names, names.front());
  for (const auto& [name, value] : choices) {
    if (name == text) return value;
  }
  return choices.front().second;
}

bool SwitchedOn(TomlReader& reader, const toml::table& table, const std::string& key,
                bool fallback) {
  const toml::node* node = table.get(key);
  if (node == nullptr) return fallback;
  if (const auto* flag = node->as_boolean()) return flag->get();
  reader.Complain(*node, "'{}' must be true or false", key);
  return fallback;
}

// The table [key], if there is one.
const toml::table* Section(TomlReader& reader, const toml::table& root, const std::string& key) {
  const toml::node* node = root.get(key);
  if (node == nullptr) return nullptr;
  if (node->as_table() == nullptr) reader.Complain(*node, "'{}' must be a table [{}]", key, key);
  return node->as_table();
}

ControlDecision ReadStart(TomlReader& reader, const toml::table& table) {
  reader.OnlyKeys(table, {"base_qp", "keyframe_fps", "scale"});
  ControlDecision start;
  start.base_qp = reader.Number(table, "base_qp", 36, 0, 51, false);
  start.keyframe_fps = reader.Number(table, "keyframe_fps", 4, 0.5, 1000, false);
  start.scale = reader.Number(table, "scale", 1, 0.25, 1, false);
  return start;
}

void ReadLimits(TomlReader& reader, const toml::table& table, ControlLimits& limits) {
  reader.OnlyKeys(
      table, {"min_base_qp", "max_base_qp", "min_keyframe_fps", "max_keyframe_fps", "min_scale"});
  limits.min_base_qp = reader.Number(table, "min_base_qp", limits.min_base_qp, 0, 51, false);
  limits.max_base_qp = reader.Number(table, "max_base_qp", limits.max_base_qp, 0, 51, false);
  limits.min_keyframe_fps =
      reader.Number(table, "min_keyframe_fps", limits.min_keyframe_fps, 0.1, 1000, false);
  limits.max_keyframe_fps =
      reader.Number(table, "max_keyframe_fps", limits.max_keyframe_fps, 0.1, 1000, false);
  limits.min_scale = reader.Number(table, "min_scale", limits.min_scale, 0.25, 1, false);
  if (limits.min_base_qp > limits.max_base_qp ||
      limits.min_keyframe_fps > limits.max_keyframe_fps) {
    reader.Complain(table, "a lower limit is above its upper one");
  }
}

void ReadCompute(TomlReader& reader, const toml::table& table, ComputeTimes& times) {
  reader.OnlyKeys(table,
                  {"measured", "flow_ms", "encode_ms", "decode_ms", "forward_ms", "gradient_ms"});
  times.measured = SwitchedOn(reader, table, "measured", false);
  const auto time = [&](const char* key, double& value) {
    value = reader.Number(table, key, value, 0, 10'000, false);
  };
  time("flow_ms", times.flow_ms);
  time("encode_ms", times.encode_ms);
  time("decode_ms", times.decode_ms);
  time("forward_ms", times.forward_ms);
  time("gradient_ms", times.gradient_ms);
}

void ReadLink(TomlReader& reader, const toml::table& table, LinkSettings& link) {
  reader.OnlyKeys(table, {"delay_ms", "jitter_ms", "loss", "down_kbps", "discard_unfinished",
                          "max_backlog_ms", "hold_to_bandwidth"});
  link.delay_ms = reader.Number(table, "delay_ms", link.delay_ms, 0, 10'000, false);
  link.jitter_ms = reader.Number(table, "jitter_ms", link.jitter_ms, 0, 10'000, false);
  link.loss = reader.Number(table, "loss", link.loss, 0, 0.5, false);
  link.down_kbps = reader.Number(table, "down_kbps", link.down_kbps, 1, 1e7, false);
  link.discard_unfinished =
      SwitchedOn(reader, table, "discard_unfinished", link.discard_unfinished);
  link.gate.hold_to_bandwidth =
      SwitchedOn(reader, table, "hold_to_bandwidth", link.gate.hold_to_bandwidth);
  link.gate.max_backlog_ms =
      reader.Number(table, "max_backlog_ms", link.gate.max_backlog_ms, 0, 1e6, false);
}

NetworkType ReadNetworkType(TomlReader& reader, const toml::table& table) {
  reader.OnlyKeys(table, {"name", "path", "mean_kbps", "traces"});
  NetworkType type;
  type.name = reader.NeededText(table, "name");
  type.path = reader.Path(table, "path");
  type.mean_kbps = reader.Number(table, "mean_kbps", 0, 0, 1e7, false);
  type.traces = reader.Whole(table, "traces", 1, 1, 10'000);
  return type;
}

// What a stream would ignore, or could not change while it runs.
Status CheckAdaptive(const SystemSpec& spec) {
  if (spec.kind() == SystemKind::kCasva && !IsAdaptive(spec)) {
    return Fail(
        "x264's rate control does not change its QP as it runs; use casva:rate=qp, for the "
        "table too");
  }
  if (!IsAdaptive(spec)) {
    return Fail("{} cannot change while it runs; use stac, accmpeg, casva or grace+",
                spec.kind_name());
  }
  for (const char* key : {"qp", "step", "fps", "scale"}) {
    if (spec.Given(key)) {
      return Fail("{} is what the controller chooses; what it begins with stands in [start]", key);
    }
  }
  if (spec.Text("consumer") == "server") {
    return Fail("streams are simulated for consumers at the device; leave consumer=server out");
  }
  if (spec.Has("ladder") && spec.Text("ladder") == "around") {
    return Fail("ladder=around is of one QP, and a stream's changes; use ladder=full");
  }
  return OkStatus();
}

void ReadSystem(TomlReader& reader, const toml::table& table, SimulationSpec& out) {
  reader.OnlyKeys(table, {"name", "spec", "controller", "weights", "profile", "share", "spare",
                          "coarser", "bandwidth", "content"});
  auto spec = SystemSpec::Parse(reader.NeededText(table, "spec"));
  if (spec) {
    if (auto status = CheckAdaptive(*spec); !status) {
      spec = tl::unexpected<Error>(std::move(status).error());
    }
  }
  if (!spec) {
    if (const toml::node* node = table.get("spec")) {
      reader.Complain(*node, "{}", spec.error().message);
    }
    return;
  }
  SimulatedSystem system{.name = reader.Text(table, "name", spec->kind_name()), .spec = *spec};
  system.controller = Named(reader, table, "controller", kControllers);
  if (system.controller == ControllerKind::kTuner || system.controller == ControllerKind::kCasva) {
    system.weights = reader.Path(table, "weights");
  }
  system.profile = reader.Text(table, "profile", system.name);
  if (system.controller == ControllerKind::kProfile && out.tables.empty()) {
    reader.Complain(table, "a profile needs 'tables' at the top: CSV files of stac sweep");
  }
  system.share = reader.Number(table, "share", 1, 0.1, 2, false);
  system.spare = reader.Number(table, "spare", 1, 1, 100, false);
  system.coarser = reader.Number(table, "coarser", 0, 0, 20, false);
  system.oracle = reader.Choice(table, "bandwidth", {"oracle", "estimate"}, "oracle") == "oracle";
  system.content = Named<ContentKind>(reader, table, "content",
                                      {{"content", ContentKind::kMetrics},
                                       {"no-c", ContentKind::kWithoutC},
                                       {"no-d", ContentKind::kWithoutD},
                                       {"preencoded", ContentKind::kPreencoded}});
  out.systems.push_back(std::move(system));
}

struct Quick {
  double seconds = 0;
  int network_types = 0, traces = 0, clips = 0, networks = 0;
};

template <typename Item>
void KeepFirst(std::vector<Item>& items, int count) {
  if (count > 0 && items.size() > static_cast<size_t>(count)) {
    items.erase(items.begin() + count, items.end());
  }
}

void ApplyQuick(const Quick& quick, SimulationSpec& out) {
  if (quick.seconds > 0) out.options.seconds = std::min(out.options.seconds, quick.seconds);
  KeepFirst(out.network_types, quick.network_types);
  KeepFirst(out.experiment.clips, quick.clips);
  KeepFirst(out.experiment.networks, quick.networks);
  for (NetworkType& type : out.network_types) {
    if (quick.traces > 0) type.traces = std::min(type.traces, quick.traces);
  }
}

void ReadTables(TomlReader& reader, const toml::table& root, SimulationSpec& out) {
  const toml::node* node = root.get("tables");
  if (node == nullptr) return;
  const toml::array* list = node->as_array();
  if (list == nullptr || !list->is_homogeneous(toml::node_type::string)) {
    return reader.Complain(*node, "'tables' must be a list of files: tables = [\"a.csv\"]");
  }
  for (const toml::node& file : *list) out.tables.emplace_back(reader.PathOf(file, "tables"));
}

}  // namespace

Result<SimulationSpec> ParseSimulation(std::string_view text, const std::string& file_name,
                                       bool quick) {
  toml::table root;
  try {
    root = toml::parse(text, file_name);
  } catch (const toml::parse_error& error) {
    std::ostringstream message;
    message << error.description();
    return Fail("{}:{}: {}", file_name, error.source().begin.line, message.str());
  }
  TomlReader reader(file_name);
  reader.OnlyKeys(root, {"name", "title", "figure", "seed", "network_threads", "seconds",
                         "skip_seconds", "tables", "network", "clip", "calibration", "network_type",
                         "system", "start", "limits", "compute", "link", "quick"});
  SimulationSpec out;
  out.experiment.text = text;
  out.experiment.name = reader.NeededText(root, "name");
  out.experiment.title = reader.Text(root, "title", out.experiment.name);
  out.experiment.seed = static_cast<uint64_t>(reader.Number(root, "seed", 1, 0, 9e15, true));
  out.experiment.network_threads = reader.Whole(root, "network_threads", 2, 2, 256);
  out.figure = Named<SimulationFigure>(
      reader, root, "figure",
      {{"adaptation", SimulationFigure::kAdaptation}, {"close-up", SimulationFigure::kCloseUp}});
  out.options.seconds = reader.Number(root, "seconds", 40, 3, 100'000, true);
  out.skip_seconds = reader.Number(root, "skip_seconds", 2, 0, 1000, true);
  out.options.seed = out.experiment.seed;
  ReadTables(reader, root, out);
  reader.Tables(root, "network", [&](const toml::table& table) {
    out.experiment.networks.push_back(ReadNetwork(reader, table));
    reader.OnlyOne(table, out.experiment.networks);
  });
  reader.Tables(root, "clip", [&](const toml::table& table) {
    out.experiment.clips.push_back(ReadClip(reader, table));
    reader.OnlyOne(table, out.experiment.clips);
  });
  reader.Tables(root, "network_type", [&](const toml::table& table) {
    out.network_types.push_back(ReadNetworkType(reader, table));
    reader.OnlyOne(table, out.network_types);
  });
  reader.Tables(root, "system", [&](const toml::table& table) { ReadSystem(reader, table, out); });
  if (const toml::table* table = Section(reader, root, "calibration")) {
    out.experiment.calibration = ReadClip(reader, *table);
  }
  out.options.start = ReadStart(reader, toml::table{});
  if (const toml::table* table = Section(reader, root, "start")) {
    out.options.start = ReadStart(reader, *table);
  }
  if (const toml::table* table = Section(reader, root, "limits")) {
    ReadLimits(reader, *table, out.options.limits);
  }
  if (const toml::table* table = Section(reader, root, "compute")) {
    ReadCompute(reader, *table, out.options.compute);
  }
  if (const toml::table* table = Section(reader, root, "link")) {
    ReadLink(reader, *table, out.options.link);
  }
  if (const toml::table* table = Section(reader, root, "quick")) {
    reader.OnlyKeys(*table, {"seconds", "network_types", "traces", "clips", "networks"});
    const Quick limits{.seconds = reader.Number(*table, "seconds", 0, 3, 1e5, true),
                       .network_types = reader.Whole(*table, "network_types", 0, 1, 1000),
                       .traces = reader.Whole(*table, "traces", 0, 1, 1000),
                       .clips = reader.Whole(*table, "clips", 0, 1, 1000),
                       .networks = reader.Whole(*table, "networks", 0, 1, 1000)};
    if (quick) ApplyQuick(limits, out);
  }
  if (reader.error()) return tl::unexpected<Error>(*reader.error());
  if (out.experiment.networks.empty()) return Fail("{}: no [[network]] is given", file_name);
  if (out.experiment.clips.empty()) return Fail("{}: no [[clip]] is given", file_name);
  if (out.network_types.empty()) return Fail("{}: no [[network_type]] is given", file_name);
  if (out.systems.empty()) return Fail("{}: no [[system]] is given", file_name);
  if (out.skip_seconds >= out.options.seconds) {
    return Fail("{}: skip_seconds leaves nothing of {:g} seconds", file_name, out.options.seconds);
  }
  return out;
}

Result<SimulationSpec> ReadSimulation(const fs::path& path, bool quick) {
  STAC_ASSIGN_OR_RETURN(const Bytes bytes, ReadFile(path, 1 << 20));
  return ParseSimulation(AsText(bytes), path.filename().string(), quick);
}

}  // namespace stac
