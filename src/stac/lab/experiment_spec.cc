#include "stac/lab/experiment_spec.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <toml++/toml.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <sstream>

#include "stac/base/bytes.h"
#include "stac/base/check.h"
#include "stac/base/file.h"

namespace stac {
namespace {

const std::vector<std::pair<std::string, FigureKind>> kFigureKinds = {
    {"accuracy-bitrate", FigureKind::kAccuracyBitrate},
    {"gradient-maps", FigureKind::kGradientMaps},
    {"loss-gap", FigureKind::kLossGap},
    {"fake-loss", FigureKind::kFakeLoss},
    {"level-deviation", FigureKind::kLevelDeviation},
};
const std::vector<std::string> kHumanLabels = {"", "camvid11", "train_ids"};

// Numbers in TOML are written in several ways; knobs hold them as the text a system spec takes.
std::string ValueText(const toml::node& node) {
  if (const auto* text = node.as_string()) return text->get();
  if (const auto* number = node.as_integer()) return fmt::format("{}", number->get());
  if (const auto* number = node.as_floating_point()) return fmt::format("{}", number->get());
  if (const auto* flag = node.as_boolean()) return flag->get() ? "1" : "0";
  return {};
}

// Reads tables and remembers the first error with its line.
class Reader {
 public:
  explicit Reader(std::string file) : file_(std::move(file)) {}

  const std::optional<Error>& error() const { return error_; }

  template <typename... Args>
  void Complain(const toml::node& at, fmt::format_string<Args...> format, Args&&... args) {
    if (error_) return;
    error_ = Error{fmt::format("{}:{}: {}", file_, at.source().begin.line,
                               fmt::format(format, std::forward<Args>(args)...))};
  }

  // Every key of the table must be one of these.
  void OnlyKeys(const toml::table& table, const std::vector<std::string>& keys) {
    for (const auto& [key, node] : table) {
      const std::string name(key.str());
      if (std::find(keys.begin(), keys.end(), name) == keys.end()) {
        Complain(node, "unknown key '{}'; allowed here: {}", name, fmt::join(keys, ", "));
      }
    }
  }

  std::string Text(const toml::table& table, const std::string& key, const std::string& fallback) {
    const toml::node* node = table.get(key);
    if (node == nullptr) return fallback;
    if (!node->is_string()) {
      Complain(*node, "'{}' must be a text in quotes", key);
      return fallback;
    }
    return node->as_string()->get();
  }
  std::string NeededText(const toml::table& table, const std::string& key) {
    if (!table.contains(key)) Complain(table, "'{}' is missing in this table", key);
    return Text(table, key, "");
  }
  std::string Choice(const toml::table& table, const std::string& key,
                     const std::vector<std::string>& choices, const std::string& fallback) {
    const std::string text = Text(table, key, fallback);
    if (std::find(choices.begin(), choices.end(), text) == choices.end()) {
      Complain(*table.get(key), "'{}' is \"{}\"; allowed: {}", key, text, fmt::join(choices, ", "));
    }
    return text;
  }
  double Number(const toml::table& table, const std::string& key, double fallback, double low,
                double high, bool whole) {
    const toml::node* node = table.get(key);
    if (node == nullptr) return fallback;
    const auto value = node->value<double>();
    if (!value || !(*value >= low && *value <= high) || (whole && *value != std::floor(*value))) {
      Complain(*node, "'{}' must be a {} {}..{}", key, whole ? "whole number" : "number", low,
               high);
      return fallback;
    }
    return *value;
  }
  int Whole(const toml::table& table, const std::string& key, int fallback, int low, int high) {
    return static_cast<int>(Number(table, key, fallback, low, high, true));
  }

  // Calls `visit` for each table of an array [[key]].
  template <typename Visit>
  void Tables(const toml::table& table, const std::string& key, Visit&& visit) {
    const toml::node* node = table.get(key);
    if (node == nullptr) return;
    const toml::array* array = node->as_array();
    if (array == nullptr || !array->is_homogeneous(toml::node_type::table)) {
      Complain(*node, "'{}' must be written as [[{}]] tables", key, key);
      return;
    }
    for (const toml::node& item : *array) visit(*item.as_table());
  }

  std::string Path(const toml::table& table, const std::string& key) {
    std::string path = NeededText(table, key);
    constexpr std::string_view kVariable = "$STAC_DATA";
    if (path.starts_with(kVariable)) {
      const std::filesystem::path data = DataFolder();
      if (data.empty()) {
        Complain(*table.get(key), "'{}' needs the shared data: set STAC_DATA to its folder", key);
        return path;
      }
      path.replace(0, kVariable.size(), data.string());
    }
    return path;
  }

 private:
  std::string file_;
  std::optional<Error> error_;
};

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

ClipEntry ReadClip(Reader& reader, const toml::table& table) {
  reader.OnlyKeys(
      table, {"name", "source", "first", "frames", "step", "max_width", "folder_fps", "human"});
  ClipEntry clip;
  clip.name = reader.NeededText(table, "name");
  clip.source = reader.Path(table, "source");
  clip.first = reader.Whole(table, "first", 0, 0, 1 << 30);
  clip.frames = reader.Whole(table, "frames", 0, 0, 1 << 30);
  clip.step = reader.Whole(table, "step", 1, 1, 1000);
  clip.max_width = reader.Whole(table, "max_width", 0, 0, 16384);
  clip.folder_fps = reader.Number(table, "folder_fps", 15, 0.1, 1000, false);
  clip.human = reader.Choice(table, "human", kHumanLabels, "");
  return clip;
}

void ReadKnobs(Reader& reader, const toml::table& table, SystemEntry& entry) {
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

void ReadSystem(Reader& reader, const toml::table& table, ExperimentSpec& out) {
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

}  // namespace

Result<ExperimentSpec> ParseExperiment(std::string_view text, const std::string& file_name,
                                       bool quick) {
  toml::table root;
  try {
    root = toml::parse(text, file_name);
  } catch (const toml::parse_error& error) {
    return Fail("{}:{}: {}", file_name, error.source().begin.line, error.description());
  }
  Reader reader(file_name);
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
    reader.OnlyKeys(table, {"name", "path", "profile"});
    NetworkEntry network{.name = reader.NeededText(table, "name"),
                         .path = reader.Path(table, "path")};
    if (table.contains("profile")) network.profile = reader.Path(table, "profile");
    out.networks.push_back(std::move(network));
  });
  reader.Tables(root, "clip",
                [&](const toml::table& table) { out.clips.push_back(ReadClip(reader, table)); });
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
