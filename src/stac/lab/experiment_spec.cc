#include "stac/lab/experiment_spec.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <sstream>

#include "stac/base/bytes.h"
#include "stac/base/file.h"
#include "stac/lab/toml_reader_internal.h"

namespace stac {
namespace {

const std::vector<std::pair<std::string, FigureKind>> kFigureKinds = {
    {"accuracy-bitrate", FigureKind::kAccuracyBitrate},
    {"gradient-maps", FigureKind::kGradientMaps},
    {"loss-gap", FigureKind::kLossGap},
    {"fake-loss", FigureKind::kFakeLoss},
    {"level-deviation", FigureKind::kLevelDeviation},
    {"allocation-bound", FigureKind::kAllocationBound},
};

// Numbers in TOML are written in several ways; knobs hold them as the text a system spec takes.
std::string ValueText(const toml::node& node) {
  if (const auto* text = node.as_string()) return text->get();
  if (const auto* number = node.as_integer()) return fmt::format("{}", number->get());
  if (const auto* number = node.as_floating_point()) return fmt::format("{}", number->get());
  if (const auto* flag = node.as_boolean()) return flag->get() ? "1" : "0";
  return {};
}

struct Quick {
  int frames = 0, networks = 0, clips = 0, knob_values = 0;
};

// `count` values spread over the list, first and last among them.
std::vector<std::string> Thinned(const std::vector<std::string>& values, int count) {
  const auto size = static_cast<int>(values.size());
  if (count <= 0 || size <= count) return values;
  std::vector<std::string> kept;
  for (int i = 0; i < count; ++i) {
    kept.push_back(values[count == 1 ? size / 2 : i * (size - 1) / (count - 1)]);
  }
  return kept;
}

void ReadKnobs(TomlReader& reader, const toml::table& table, SystemEntry& entry) {
  const toml::node* node = table.get("knobs");
  if (node == nullptr) return;
  const toml::table* knobs = node->as_table();
  if (knobs == nullptr) {
    reader.Complain(*node, "'knobs' must be a table: knobs = {{ qp = [28, 32] }}");
    return;
  }
  for (const auto& [key, values] : *knobs) {
    const std::string name(key.str());
    std::vector<std::string> texts;
    if (const toml::array* list = values.as_array()) {
      for (const toml::node& value : *list) texts.push_back(ValueText(value));
    } else {
      texts.push_back(ValueText(values));
    }
    if (texts.empty()) reader.Complain(values, "knob '{}' has no values", name);
    for (const std::string& text : texts) {
      const auto point = entry.base.With({{name, text}});
      if (!point) reader.Complain(values, "{}", point.error().message);
    }
    entry.knobs.emplace_back(name, std::move(texts));
  }
}

void ReadSystem(TomlReader& reader, const toml::table& table, ExperimentSpec& out) {
  reader.OnlyKeys(table, {"name", "spec", "knobs"});
  const std::string text = reader.NeededText(table, "spec");
  auto spec = SystemSpec::Parse(text);
  if (!spec) {
    if (const toml::node* node = table.get("spec")) {
      reader.Complain(*node, "{}", spec.error().message);
    }
    return;
  }
  SystemEntry entry{.name = reader.Text(table, "name", spec->kind_name()), .base = *spec};
  ReadKnobs(reader, table, entry);
  out.systems.push_back(std::move(entry));
}

void ApplyQuick(const Quick& quick, ExperimentSpec& out) {
  if (quick.networks > 0 && out.networks.size() > static_cast<size_t>(quick.networks)) {
    out.networks.resize(quick.networks);
  }
  if (quick.clips > 0 && out.clips.size() > static_cast<size_t>(quick.clips)) {
    out.clips.resize(quick.clips);
  }
  for (ClipEntry& clip : out.clips) {
    if (quick.frames > 0)
      clip.frames = clip.frames > 0 ? std::min(clip.frames, quick.frames) : quick.frames;
  }
  for (SystemEntry& system : out.systems) {
    for (auto& [key, values] : system.knobs) values = Thinned(values, quick.knob_values);
  }
}

// A system that asks the device's own network about macroblocks needs one for every network.
Status CheckPredictors(const ExperimentSpec& spec, const std::string& file_name) {
  const bool predicts = std::any_of(spec.systems.begin(), spec.systems.end(),
                                    [](const SystemEntry& s) { return s.base.PredictsMap(); });
  if (!predicts) return OkStatus();
  for (const NetworkEntry& network : spec.networks) {
    if (network.accmpeg.empty()) {
      return Fail(
          "{}: accmpeg needs a network for macroblocks: set accmpeg = \"FILE.stacnet\" in the "
          "[[network]] {}, or map=oracle in the system",
          file_name, network.name);
    }
  }
  return OkStatus();
}

}  // namespace

Result<ExperimentSpec> ParseExperiment(std::string_view text, const std::string& file_name,
                                       bool quick) {
  toml::table root;
  try {
    root = toml::parse(text, file_name);
  } catch (const toml::parse_error& error) {
    return Fail("{}:{}: {}", file_name, error.source().begin.line, error.description());
  }
  TomlReader reader(file_name);
  reader.OnlyKeys(root, {"name", "title", "figure", "reference", "seed", "network_threads",
                         "network", "clip", "system", "calibration", "quick"});
  ExperimentSpec out;
  out.text = text;
  out.name = reader.NeededText(root, "name");
  out.title = reader.Text(root, "title", out.name);
  out.reference = reader.Text(root, "reference", "");
  out.seed = static_cast<uint64_t>(reader.Number(root, "seed", 1, 0, 9e15, true));
  // Never 1: ATen 1.13 leaves its fast convolutions then.
  out.network_threads = reader.Whole(root, "network_threads", 2, 2, 256);
  std::vector<std::string> kinds;
  for (const auto& [name, kind] : kFigureKinds) kinds.push_back(name);
  const std::string figure = reader.Choice(root, "figure", kinds, kinds.front());
  for (const auto& [name, kind] : kFigureKinds) {
    if (name == figure) out.figure = kind;
  }
  reader.Tables(root, "network", [&](const toml::table& table) {
    out.networks.push_back(ReadNetwork(reader, table));
    reader.OnlyOne(table, out.networks);
  });
  reader.Tables(root, "clip", [&](const toml::table& table) {
    out.clips.push_back(ReadClip(reader, table));
    reader.OnlyOne(table, out.clips);
  });
  reader.Tables(root, "system", [&](const toml::table& table) { ReadSystem(reader, table, out); });
  if (const toml::node* node = root.get("calibration")) {
    if (const toml::table* table = node->as_table()) {
      out.calibration = ReadClip(reader, *table);
    } else {
      reader.Complain(*node, "'calibration' must be a table [calibration], written as a clip");
    }
  }
  if (const toml::node* node = root.get("quick")) {
    Quick limits;
    if (const toml::table* table = node->as_table()) {
      reader.OnlyKeys(*table, {"frames", "networks", "clips", "knob_values"});
      limits.frames = reader.Whole(*table, "frames", 0, 0, 1 << 30);
      limits.networks = reader.Whole(*table, "networks", 0, 0, 1000);
      limits.clips = reader.Whole(*table, "clips", 0, 0, 1000);
      limits.knob_values = reader.Whole(*table, "knob_values", 0, 0, 1000);
    } else {
      reader.Complain(*node, "'quick' must be a table [quick]");
    }
    if (quick) ApplyQuick(limits, out);
  }
  if (reader.error()) return tl::unexpected<Error>(*reader.error());
  if (out.networks.empty()) return Fail("{}: no [[network]] is given", file_name);
  if (out.clips.empty()) return Fail("{}: no [[clip]] is given", file_name);
  if (out.figure == FigureKind::kAccuracyBitrate && out.systems.empty()) {
    return Fail("{}: no [[system]] is given", file_name);
  }
  STAC_RETURN_IF_ERROR(CheckPredictors(out, file_name));
  return out;
}

Result<ExperimentSpec> ReadExperiment(const std::filesystem::path& path, bool quick) {
  STAC_ASSIGN_OR_RETURN(const Bytes bytes, ReadFile(path, 1 << 20));
  return ParseExperiment(AsText(bytes), path.filename().string(), quick);
}

std::vector<PointSpec> ExpandMatrix(const ExperimentSpec& experiment) {
  std::vector<PointSpec> points;
  for (size_t network = 0; network < experiment.networks.size(); ++network) {
    for (size_t clip = 0; clip < experiment.clips.size(); ++clip) {
      std::set<std::string> seen;
      for (const SystemEntry& system : experiment.systems) {
        std::vector<SystemSpec> specs = {system.base};
        for (const auto& [key, values] : system.knobs) {
          std::vector<SystemSpec> more;
          for (const SystemSpec& spec : specs) {
            for (const std::string& value : values)
              more.push_back(spec.With({{key, value}}).value());
          }
          specs = std::move(more);
        }
        for (SystemSpec& spec : specs) {
          if (!seen.insert(system.name + "\n" + spec.Canonical()).second) continue;
          points.push_back({system.name, std::move(spec), network, clip});
        }
      }
    }
  }
  return points;
}

}  // namespace stac
