#include "stac/lab/train/recipe.h"

#include <toml++/toml.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "stac/base/file.h"
#include "stac/base/path_variables.h"

namespace stac {
namespace {

// Reads the keys of one table, remembers the first thing that is wrong, and reports keys that
// nobody asked for.
class TableReader {
 public:
  TableReader(const toml::table* table, std::string name) : table_(table), name_(std::move(name)) {}

  void Read(const char* key, std::string& value) {
    if (const auto* node = Find(key)) Take(key, node->value_exact<std::string>(), "a text", value);
  }
  void Read(const char* key, bool& value) {
    if (const auto* node = Find(key)) Take(key, node->value_exact<bool>(), "true or false", value);
  }
  void Read(const char* key, double& value, double low, double high) {
    const auto* node = Find(key);
    if (node == nullptr) return;
    const auto number = node->value<double>();
    if (!number || !(*number >= low && *number <= high))
      Wrong("{}.{} must be a number from {} to {}", name_, key, low, high);
    else
      value = *number;
  }
  template <typename Integer>
  void ReadInteger(const char* key, Integer& value, int64_t low, int64_t high) {
    const auto* node = Find(key);
    if (node == nullptr) return;
    const auto number = node->value_exact<int64_t>();
    if (!number || *number < low || *number > high)
      Wrong("{}.{} must be a whole number from {} to {}", name_, key, low, high);
    else
      value = static_cast<Integer>(*number);
  }
  template <typename... Args>
  void Wrong(fmt::format_string<Args...> format, Args&&... args) {
    if (error_.empty()) error_ = fmt::format(format, std::forward<Args>(args)...);
  }
  Status Finish() {
    if (table_ != nullptr)
      for (const auto& [key, node] : *table_)
        if (!known_.contains(key.str()))
          Wrong("{} has no key \"{}\"; it knows {}", name_, key.str(), fmt::join(known_, ", "));
    if (!error_.empty()) return Fail("{}", error_);
    return OkStatus();
  }

 private:
  const toml::node* Find(const char* key) {
    known_.insert(key);
    return table_ == nullptr ? nullptr : table_->get(key);
  }
  template <typename T>
  void Take(const char* key, const std::optional<T>& found, const char* what, T& value) {
    if (found)
      value = *found;
    else
      Wrong("{}.{} must be {}", name_, key, what);
  }

  const toml::table* table_;
  std::string name_;
  std::set<std::string, std::less<>> known_;
  std::string error_;
};

Result<std::string> ExpandPath(const std::string& path, const std::filesystem::path& folder) {
  STAC_ASSIGN_OR_RETURN(const std::string out, ExpandVariables(path));
  if (out.empty()) return Fail("a path is missing");
  return (folder / out).lexically_normal().string();
}

Status ReadData(const toml::table& root, const char* key, const std::filesystem::path& folder,
                std::vector<TrainDataSpec>& out) {
  const toml::node* node = root.get(key);
  if (node == nullptr) return OkStatus();
  const toml::array* array = node->as_array();
  if (array == nullptr || !array->is_homogeneous(toml::node_type::table))
    return Fail("{} must be written as [[{}]] tables", key, key);
  for (const toml::node& entry : *array) {
    TrainDataSpec spec;
    TableReader in(entry.as_table(), key);
    in.Read("kind", spec.kind);
    in.Read("path", spec.path);
    in.Read("exclude", spec.exclude);
    in.ReadInteger("step", spec.step, 1, 1 << 20);
    in.ReadInteger("first", spec.first, 0, 1 << 30);
    in.ReadInteger("max_pictures", spec.max_pictures, 0, 1 << 30);
    in.ReadInteger("max_width", spec.max_width, 0, 16384);
    static const std::set<std::string> kKinds = {"video", "camvid", "cityscapes", "synthetic"};
    if (!kKinds.contains(spec.kind))
      in.Wrong("{}.kind must be one of {}, not \"{}\"", key, fmt::join(kKinds, ", "), spec.kind);
    STAC_RETURN_IF_ERROR(in.Finish());
    if (spec.kind != "synthetic") {
      STAC_ASSIGN_OR_RETURN(spec.path, ExpandPath(spec.path, folder));
    }
    out.push_back(spec);
  }
  return OkStatus();
}

Status ReadTeachers(const toml::table& root, const std::filesystem::path& folder,
                    std::vector<TeacherSpec>& out) {
  const toml::node* node = root.get("teacher");
  if (node == nullptr) return OkStatus();
  const toml::array* array = node->as_array();
  if (array == nullptr || !array->is_homogeneous(toml::node_type::table))
    return Fail("teacher must be written as [[teacher]] tables");
  for (const toml::node& entry : *array) {
    TeacherSpec spec;
    TableReader in(entry.as_table(), "teacher");
    in.Read("file", spec.file);
    in.Read("weight", spec.weight, 1e-6, 1e6);
    STAC_RETURN_IF_ERROR(in.Finish());
    STAC_ASSIGN_OR_RETURN(spec.file, ExpandPath(spec.file, folder));
    out.push_back(spec);
  }
  return OkStatus();
}

Status ReadAverages(const toml::table& root, const std::filesystem::path& folder, TrainRecipe& r) {
  const toml::node* node = root.get("average");
  if (node == nullptr) return OkStatus();
  const toml::array* array = node->as_array();
  if (array == nullptr || !array->is_homogeneous(toml::node_type::table))
    return Fail("average must be written as [[average]] tables");
  double total = r.initial_share;
  for (const toml::node& entry : *array) {
    AverageSpec spec;
    TableReader in(entry.as_table(), "average");
    in.Read("file", spec.file);
    in.Read("share", spec.share, 0, 1);
    STAC_RETURN_IF_ERROR(in.Finish());
    STAC_ASSIGN_OR_RETURN(spec.file, ExpandPath(spec.file, folder));
    total += spec.share;
    r.averages.push_back(spec);
  }
  if (total > 1)
    return Fail("the shares of [[average]] and network.initial_share add up to {:.3g}, more than 1",
                total);
  return OkStatus();
}

Status ReadTables(const toml::table& root, const std::filesystem::path& folder, TrainRecipe& r) {
  static const std::set<std::string, std::less<>> kTables = {
      "network", "average", "train", "loss", "augment", "teacher", "data", "validation"};
  for (const auto& [key, node] : root)
    if (!kTables.contains(key.str()))
      return Fail("a recipe has no table \"{}\"; it knows {}", key.str(), fmt::join(kTables, ", "));
  for (const char* key : {"network", "train", "loss", "augment"})
    if (root.contains(key) && !root[key].is_table())
      return Fail("{} must be written as one [{}] table", key, key);

  TableReader network(root["network"].as_table(), "network");
  std::string initial;
  network.Read("definition", r.network);
  network.ReadInteger("classes", r.classes, 2, 255);
  network.Read("initial", initial);
  network.Read("initial_share", r.initial_share, 0, 1);
  network.Read("contrast_limit", r.contrast_limit, 0, 1);
  if (initial.empty() && r.initial_share > 0)
    network.Wrong("network.initial_share needs network.initial");
  STAC_RETURN_IF_ERROR(network.Finish());
  if (!initial.empty()) {
    STAC_ASSIGN_OR_RETURN(r.initial, ExpandPath(initial, folder));
  }

  TableReader train(root["train"].as_table(), "train");
  train.ReadInteger("seed", r.seed, 0, int64_t{1} << 62);
  train.ReadInteger("steps", r.steps, 1, int64_t{1} << 40);
  train.ReadInteger("batch", r.batch, 2, 1024);
  train.ReadInteger("crop_width", r.crop_width, 32, 8192);
  train.ReadInteger("crop_height", r.crop_height, 32, 8192);
  train.Read("learning_rate", r.learning_rate, 1e-9, 10);
  train.Read("weight_decay", r.weight_decay, 0, 1);
  train.Read("poly_power", r.poly_power, 0, 10);
  train.ReadInteger("warmup_steps", r.warmup_steps, 0, int64_t{1} << 40);
  train.Read("rare_share", r.rare_share, 0, 1);
  train.Read("ema_decay", r.ema_decay, 0, 0.99999);
  train.ReadInteger("checkpoint_every", r.checkpoint_every, 1, int64_t{1} << 40);
  train.ReadInteger("validate_every", r.validate_every, 0, int64_t{1} << 40);
  train.Read("mixed_precision", r.mixed_precision);
  train.Read("device", r.device);
  if (r.crop_width % 32 != 0 || r.crop_height % 32 != 0)
    train.Wrong("train.crop_width and train.crop_height must be multiples of 32");
  if (r.device != "auto" && r.device != "cpu" && r.device != "cuda")
    train.Wrong("train.device must be auto, cpu or cuda, not \"{}\"", r.device);
  STAC_RETURN_IF_ERROR(train.Finish());

  TableReader loss(root["loss"].as_table(), "loss");
  loss.Read("teacher", r.teacher_loss, 0, 1e3);
  loss.Read("labels", r.labels_loss, 0, 1e3);
  loss.Read("auxiliary", r.auxiliary_loss, 0, 1e3);
  loss.Read("live_teacher", r.live_teacher);
  loss.Read("sharpen", r.sharpen, 1, 100);
  loss.Read("balance", r.balance, 0, 1);
  loss.ReadInteger("stride", r.loss_stride, 1, 4);
  if (r.loss_stride == 3) loss.Wrong("loss.stride must be 1, 2 or 4");
  STAC_RETURN_IF_ERROR(loss.Finish());

  TableReader augment(root["augment"].as_table(), "augment");
  AugmentSpec& a = r.augment;
  augment.Read("scale_min", a.scale_min, 0.1, 10);
  augment.Read("scale_max", a.scale_max, 0.1, 10);
  augment.Read("flip", a.flip);
  augment.Read("brightness", a.brightness, 0, 1);
  augment.Read("contrast", a.contrast, 0, 1);
  augment.Read("saturation", a.saturation, 0, 1);
  augment.Read("tint", a.tint, 0, 1);
  augment.Read("rotate", a.rotate, 0, 180);
  augment.Read("shade", a.shade, 0, 1);
  augment.Read("codec_share", a.codec_share, 0, 1);
  augment.Read("mix_share", a.mix_share, 0, 1);
  augment.Read("paste_share", a.paste_share, 0, 1);
  augment.Read("thing_share", a.thing_share, 0, 1);
  augment.Read("drawn_lights", a.drawn_lights, 0, 1);
  augment.ReadInteger("codec_qp_min", a.codec_qp_min, 1, 51);
  augment.ReadInteger("codec_qp_max", a.codec_qp_max, 1, 51);
  if (a.scale_min > a.scale_max) augment.Wrong("augment.scale_min is above augment.scale_max");
  if (a.codec_qp_min > a.codec_qp_max)
    augment.Wrong("augment.codec_qp_min is above augment.codec_qp_max");
  STAC_RETURN_IF_ERROR(augment.Finish());

  STAC_RETURN_IF_ERROR(ReadAverages(root, folder, r));
  STAC_RETURN_IF_ERROR(ReadTeachers(root, folder, r.teachers));
  STAC_RETURN_IF_ERROR(ReadData(root, "data", folder, r.data));
  STAC_RETURN_IF_ERROR(ReadData(root, "validation", folder, r.validation));
  if (r.data.empty()) return Fail("the recipe names no [[data]] to train on");
  if (r.live_teacher && !r.distilled()) return Fail("loss.live_teacher needs a [[teacher]]");
  if (a.mix_share > 0 && !r.live_teacher)
    return Fail("augment.mix_share needs loss.live_teacher: nobody else knows a blended picture");
  if (a.paste_share > 0 && !r.live_teacher)
    return Fail("augment.paste_share needs loss.live_teacher: a picture of parts is a new one");
  if (a.thing_share > 0 && !r.live_teacher)
    return Fail("augment.thing_share needs loss.live_teacher: a picture of parts is a new one");
  if (a.drawn_lights > 0 && a.thing_share == 0)
    return Fail("augment.drawn_lights needs augment.thing_share: it is a share of those things");
  if (a.rotate > 0 && r.distilled() && !r.live_teacher)
    return Fail("augment.rotate with a teacher needs loss.live_teacher");
  return OkStatus();
}

}  // namespace

Result<TrainRecipe> ParseTrainRecipe(const std::string& text, const std::filesystem::path& folder) {
  TrainRecipe recipe;
  recipe.text = text;
  try {
    const toml::table root = toml::parse(text);
    STAC_RETURN_IF_ERROR(ReadTables(root, folder, recipe));
  } catch (const toml::parse_error& e) {
    return Fail("line {}: {}", e.source().begin.line, e.description());
  }
  return recipe;
}

Result<TrainRecipe> ReadTrainRecipe(const std::filesystem::path& file) {
  STAC_ASSIGN_OR_RETURN(const Bytes bytes, ReadFile(file, 1 << 20));
  auto recipe = ParseTrainRecipe(std::string(AsText(bytes)), file.parent_path());
  if (!recipe) return Fail("the recipe {}: {}", file.string(), recipe.error().message);
  return recipe;
}

double LearningRate(const TrainRecipe& recipe, int64_t step) {
  if (step < recipe.warmup_steps)
    return recipe.learning_rate * static_cast<double>(step + 1) / recipe.warmup_steps;
  const double left = 1.0 - static_cast<double>(step) / static_cast<double>(recipe.steps);
  return recipe.learning_rate * std::pow(std::max(left, 0.0), recipe.poly_power);
}

}  // namespace stac
