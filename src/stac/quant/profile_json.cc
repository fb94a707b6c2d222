#include <cmath>
#include <nlohmann/json.hpp>
#include <set>

#include "stac/quant/profile.h"

// The profile file: one JSON object, keys in the order of the writer, matrices one row per line.

namespace stac {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kFormat = "stac-profile";
constexpr int kVersion = 1;
constexpr size_t kMaxText = 4096;
constexpr size_t kMaxClips = 10000;

template <typename T, size_t count>
Json Rows(const std::array<T, count>& matrix) {
  constexpr size_t size = count == 16 ? 4 : 8;
  Json rows = Json::array();
  for (size_t y = 0; y < size; ++y) {
    rows.push_back(std::vector<T>(matrix.begin() + y * size, matrix.begin() + (y + 1) * size));
  }
  return rows;
}

// Objects and lists of lists or texts get a line per entry; lists of numbers stay on one line.
void Print(const Json& value, int indent, std::string& out) {
  const bool on_lines =
      value.is_object() || (value.is_array() && !value.empty() && !value.front().is_number());
  if (!on_lines) {
    std::string text;
    if (value.is_array()) {
      for (const auto& number : value) text += (text.empty() ? "" : ", ") + number.dump();
      text = fmt::format("[{}]", text);
    } else {
      text = value.dump(-1, ' ', false, Json::error_handler_t::replace);
    }
    out += text;
    return;
  }
  const std::string margin(indent + 2, ' ');
  out += value.is_object() ? "{" : "[";
  bool first = true;
  for (const auto& [key, entry] : value.items()) {
    out += first ? "\n" : ",\n";
    out += margin;
    if (value.is_object()) out += fmt::format("\"{}\": ", key);
    Print(entry, indent + 2, out);
    first = false;
  }
  out += '\n' + std::string(indent, ' ') + (value.is_object() ? '}' : ']');
}

// Reads the fields of an object; remembers the first error and which fields were asked for.
class ObjectReader {
 public:
  ObjectReader(const Json& object, std::string name) : object_(object), name_(std::move(name)) {
    if (!object.is_object()) Problem("", "must be an object");
  }

  const Json& Get(const char* key) {
    static const Json kNull;
    known_.insert(key);
    if (!object_.is_object()) return kNull;
    const auto found = object_.find(key);
    if (found == object_.end()) {
      Problem(key, "is missing");
      return kNull;
    }
    return *found;
  }

  std::string Text(const char* key) {
    const Json& value = Get(key);
    if (value.is_string() && value.get_ref<const std::string&>().size() <= kMaxText) {
      return value.get<std::string>();
    }
    Problem(key, fmt::format("must be a text of at most {} bytes", kMaxText));
    return {};
  }

  double Number(const char* key, double low, double high) {
    return CheckedNumber(Get(key), key, low, high);
  }

  int Integer(const char* key, int low, int high) {
    const Json& value = Get(key);
    const double number = CheckedNumber(value, key, low, high);
    if (error_.empty() && !value.is_number_integer()) Problem(key, "must be an integer");
    return static_cast<int>(number);
  }

  template <typename T, size_t count>
  void Matrix(const char* key, std::array<T, count>& matrix, double low, double high) {
    constexpr size_t size = count == 16 ? 4 : 8;
    const std::string shape =
        fmt::format("{} rows of {} {}", size, size, std::is_integral_v<T> ? "integers" : "numbers");
    const Json& rows = Get(key);
    if (!rows.is_array() || rows.size() != size) return Problem(key, "must be " + shape);
    for (size_t y = 0; y < size; ++y) {
      if (!rows[y].is_array() || rows[y].size() != size) return Problem(key, "must be " + shape);
      for (size_t x = 0; x < size; ++x) {
        const Json& entry = rows[y][x];
        if (std::is_integral_v<T> && !entry.is_number_integer()) {
          return Problem(key, "must be " + shape);
        }
        matrix[y * size + x] = static_cast<T>(CheckedNumber(entry, key, low, high));
      }
    }
  }

  void Problem(const std::string& key, const std::string& what) {
    if (!error_.empty()) return;
    const std::string path =
        name_.empty() || key.empty() ? name_ + key : fmt::format("{}.{}", name_, key);
    error_ = path.empty() ? fmt::format("the profile {}", what)
                          : fmt::format("field \"{}\" {}", path, what);
  }

  // What was wrong, fields nobody asked for included.
  Status Finish() {
    if (error_.empty()) {
      for (const auto& [key, value] : object_.items()) {
        if (!known_.contains(key)) Problem(key, "is not known to this version; remove it");
      }
    }
    if (error_.empty()) return OkStatus();
    return Fail("{}", error_);
  }

 private:
  double CheckedNumber(const Json& value, const char* key, double low, double high) {
    if (value.is_number()) {
      const double number = value.get<double>();
      if (number >= low && number <= high) return number;
    }
    Problem(key, fmt::format("must be a number of {}..{}", low, high));
    return low;
  }

  const Json& object_;
  std::string name_;
  std::string error_;
  std::set<std::string> known_;
};

constexpr double kHuge = 1e30;

Status ReadNetwork(const Json& json, Profile& profile) {
  ObjectReader reader(json, "network");
  profile.network = reader.Text("name");
  profile.network_hash = reader.Text("hash");
  profile.class_count = reader.Integer("class_count", 1, 255);
  return reader.Finish();
}

Status ReadCalibration(const Json& json, Profile& profile) {
  ObjectReader reader(json, "calibration");
  profile.frame_count = reader.Integer("frame_count", 0, 1 << 30);
  profile.pixel_count = reader.Integer("pixel_count", 0, 1 << 30);
  const Json& frames = reader.Get("frames");
  if (frames.is_array() && frames.size() <= kMaxClips) {
    for (const auto& line : frames) {
      if (!line.is_string() || line.get_ref<const std::string&>().size() > kMaxText) {
        reader.Problem("frames", "must be a list of texts");
        break;
      }
      profile.frames.push_back(line.get<std::string>());
    }
  } else {
    reader.Problem("frames", "must be a list of texts");
  }
  profile.revision = reader.Text("revision");
  return reader.Finish();
}

Status ReadLadder(const Json& json, Profile& profile) {
  ObjectReader reader(json, "ladder");
  profile.level_count = reader.Integer("level_count", 2, kMaxLevels);
  profile.min_qp = reader.Number("min_qp", 0, kMaxQp);
  profile.max_qp = reader.Number("max_qp", 0, kMaxQp);
  if (profile.max_qp <= profile.min_qp) reader.Problem("max_qp", "must be larger than min_qp");
  return reader.Finish();
}

Status ReadGradients(const Json& json, FrequencyGradients& gradients) {
  ObjectReader reader(json, "gradients");
  reader.Matrix("luma4", gradients.luma4, 0, kHuge);
  reader.Matrix("chroma4", gradients.chroma4, 0, kHuge);
  reader.Matrix("luma8", gradients.luma8, 0, kHuge);
  reader.Matrix("cb8", gradients.cb8, 0, kHuge);
  reader.Matrix("cr8", gradients.cr8, 0, kHuge);
  return reader.Finish();
}

Status ReadMatrices(const Json& json, ScalingMatrices& matrices) {
  ObjectReader reader(json, "matrices");
  reader.Matrix("intra_y4", matrices.intra_y4, 1, 255);
  reader.Matrix("intra_c4", matrices.intra_c4, 1, 255);
  reader.Matrix("inter_y4", matrices.inter_y4, 1, 255);
  reader.Matrix("inter_c4", matrices.inter_c4, 1, 255);
  reader.Matrix("intra_y8", matrices.intra_y8, 1, 255);
  reader.Matrix("inter_y8", matrices.inter_y8, 1, 255);
  return reader.Finish();
}

Result<Profile> FromJson(const Json& json) {
  ObjectReader reader(json, "");
  if (reader.Text("format") != kFormat) {
    reader.Problem("format", "must be \"stac-profile\": this is another kind of file");
  }
  if (reader.Integer("version", 0, 1 << 30) != kVersion) {
    reader.Problem("version", "must be 1: the file is from another version, calibrate again");
  }
  Profile profile;
  const Json& network = reader.Get("network");
  const std::string color = reader.Text("color");
  const Json& calibration = reader.Get("calibration");
  const Json& ladder = reader.Get("ladder");
  profile.budget_of_level0 = reader.Number("budget_of_level0", 0, kHuge);
  profile.typical_sensitivity = reader.Number("typical_sensitivity", 0, kHuge);
  const Json& matrices = reader.Get("matrices");
  const Json& gradients = reader.Get("gradients");
  STAC_RETURN_IF_ERROR(reader.Finish());
  const auto spec = ParseColorSpec(color);
  if (!spec) return Fail("field \"color\": {}", spec.error().message);
  profile.color = *spec;
  STAC_RETURN_IF_ERROR(ReadNetwork(network, profile));
  STAC_RETURN_IF_ERROR(ReadCalibration(calibration, profile));
  STAC_RETURN_IF_ERROR(ReadLadder(ladder, profile));
  STAC_RETURN_IF_ERROR(ReadMatrices(matrices, profile.gradient_matrices));
  STAC_RETURN_IF_ERROR(ReadGradients(gradients, profile.gradients));
  return profile;
}

}  // namespace

std::string ToJson(const Profile& profile) {
  Json json;
  json["format"] = kFormat;
  json["version"] = kVersion;
  json["network"] = {{"name", profile.network},
                     {"hash", profile.network_hash},
                     {"class_count", profile.class_count}};
  json["color"] = ToString(profile.color);
  json["calibration"] = {{"frame_count", profile.frame_count},
                         {"pixel_count", profile.pixel_count},
                         {"frames", profile.frames},
                         {"revision", profile.revision}};
  json["ladder"] = {
      {"level_count", profile.level_count}, {"min_qp", profile.min_qp}, {"max_qp", profile.max_qp}};
  json["budget_of_level0"] = profile.budget_of_level0;
  json["typical_sensitivity"] = profile.typical_sensitivity;
  const ScalingMatrices& matrices = profile.gradient_matrices;
  json["matrices"] = {{"intra_y4", Rows(matrices.intra_y4)}, {"intra_c4", Rows(matrices.intra_c4)},
                      {"inter_y4", Rows(matrices.inter_y4)}, {"inter_c4", Rows(matrices.inter_c4)},
                      {"intra_y8", Rows(matrices.intra_y8)}, {"inter_y8", Rows(matrices.inter_y8)}};
  const FrequencyGradients& gradients = profile.gradients;
  json["gradients"] = {{"luma4", Rows(gradients.luma4)},
                       {"chroma4", Rows(gradients.chroma4)},
                       {"luma8", Rows(gradients.luma8)},
                       {"cb8", Rows(gradients.cb8)},
                       {"cr8", Rows(gradients.cr8)}};
  std::string text;
  Print(json, 0, text);
  return text + "\n";
}

Result<Profile> ProfileFromJson(std::string_view json) {
  try {
    return FromJson(Json::parse(json));
  } catch (const nlohmann::json::exception& error) {
    return Fail("not a profile, because it is not valid JSON ({})", error.what());
  }
}

}  // namespace stac
