#pragma once

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <toml++/toml.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>
#include <vector>

#include "stac/base/path_variables.h"
#include "stac/lab/experiment_spec.h"

namespace stac {

// Reads tables and remembers the first error with its line.
class TomlReader {
 public:
  explicit TomlReader(std::string file) : file_(std::move(file)) {}

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

  // The last of `entries`, which `table` is, must have a name of its own: results are told apart by
  // it.
  template <typename Entry>
  void OnlyOne(const toml::table& table, const std::vector<Entry>& entries) {
    const std::string& name = entries.back().name;
    const auto first = std::find_if(entries.begin(), entries.end(),
                                    [&](const Entry& entry) { return entry.name == name; });
    if (&*first != &entries.back())
      Complain(table, "there is a '{}' already: choose another name", name);
  }

  std::string Path(const toml::table& table, const std::string& key) {
    const std::string path = NeededText(table, key);
    return table.contains(key) ? PathOf(*table.get(key), key) : path;
  }
  // The path that a node holds. `key`: where it stands.
  std::string PathOf(const toml::node& node, const std::string& key) {
    auto path = ExpandVariables(node.value_or(std::string()));
    if (path) return *path;
    Complain(node, "'{}': {}", key, path.error().message);
    return {};
  }

 private:
  std::string file_;
  std::optional<Error> error_;
};

// A [[network]] table.
NetworkEntry ReadNetwork(TomlReader& reader, const toml::table& table);
// A [[clip]] table, or one written like it.
ClipEntry ReadClip(TomlReader& reader, const toml::table& table);

}  // namespace stac
