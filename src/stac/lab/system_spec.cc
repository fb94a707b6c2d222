#include "stac/lab/system_spec.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>

#include "stac/base/check.h"
#include "stac/lab/system_settings_internal.h"

namespace stac {
namespace {

const KindRules* FindKind(std::string_view name) {
  for (const KindRules& kind : AllKinds()) {
    if (kind.name == name) return &kind;
  }
  return nullptr;
}

const KindRules& RulesOf(SystemKind kind) {
  const auto& kinds = AllKinds();
  return *std::find_if(kinds.begin(), kinds.end(), [&](const auto& k) { return k.kind == kind; });
}

std::vector<std::string> Names(const auto& items, auto name) {
  std::vector<std::string> names;
  for (const auto& item : items) names.push_back(name(item));
  return names;
}

std::optional<double> ToNumber(const std::string& text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(value)) {
    return std::nullopt;
  }
  return value;
}

std::vector<std::string> Split(std::string_view text, char separator) {
  std::vector<std::string> parts;
  while (!text.empty()) {
    const size_t end = text.find(separator);
    parts.emplace_back(text.substr(0, end));
    text = end == std::string_view::npos ? std::string_view{} : text.substr(end + 1);
  }
  return parts;
}

std::string Join(const std::string& kind, const std::map<std::string, std::string>& values) {
  std::string text = kind;
  char separator = ':';
  for (const auto& [key, value] : values) {
    text += fmt::format("{}{}={}", separator, key, value);
    separator = ',';
  }
  return text;
}

}  // namespace

Status SystemSpec::Set(const std::string& key, const std::string& value) {
  const KindRules& rules = RulesOf(kind_);
  const auto rule = std::find_if(rules.settings.begin(), rules.settings.end(),
                                 [&](const SettingRule& r) { return r.key == key; });
  if (rule == rules.settings.end()) {
    return Fail("{} has no setting '{}'; it has {}", kind_name_, key,
                fmt::join(Names(rules.settings, [](const auto& r) { return r.key; }), ", "));
  }
  std::string canonical = value;
  if (!rule->choices.empty()) {
    if (std::find(rule->choices.begin(), rule->choices.end(), value) == rule->choices.end()) {
      return Fail("{} of {} is '{}'; allowed: {}", key, kind_name_, value, Allowed(*rule));
    }
  } else {
    const std::optional<double> number = ToNumber(value);
    if (!number || *number < rule->low || *number > rule->high ||
        (rule->integer && *number != std::floor(*number))) {
      return Fail("{} of {} is '{}'; allowed: {}", key, kind_name_, value, Allowed(*rule));
    }
    if (key == "region" && std::fmod(*number, 16) != 0) {
      return Fail("region of {} is '{}'; allowed: multiples of 16 up to 256", kind_name_, value);
    }
    canonical = fmt::format("{}", *number);  // 30, 30.0 and 3e1 are one point
  }
  values_[key] = canonical;
  given_[key] = canonical;
  return OkStatus();
}

Result<SystemSpec> SystemSpec::Parse(std::string_view text) {
  const size_t colon = text.find(':');
  const KindRules* rules = FindKind(text.substr(0, colon));
  if (rules == nullptr) {
    return Fail("there is no system '{}'; allowed: {}", text.substr(0, colon),
                fmt::join(Names(AllKinds(), [](const auto& k) { return k.name; }), ", "));
  }
  SystemSpec spec;
  spec.kind_ = rules->kind;
  spec.kind_name_ = rules->name;
  for (const SettingRule& rule : rules->settings) spec.values_[rule.key] = rule.fallback;
  if (colon == std::string_view::npos) return spec;

  std::vector<std::pair<std::string, std::string>> settings;
  for (const std::string& part : Split(text.substr(colon + 1), ',')) {
    const size_t equals = part.find('=');
    if (equals != std::string::npos) {
      settings.emplace_back(part.substr(0, equals), part.substr(equals + 1));
      continue;
    }
    const auto preset = std::find_if(rules->presets.begin(), rules->presets.end(),
                                     [&](const auto& p) { return p.first == part; });
    if (preset == rules->presets.end()) {
      return Fail(
          "'{}' in \"{}\" is not key=value{}", part, text,
          rules->presets.empty()
              ? std::string()
              : fmt::format(
                    " and no preset of {} ({})", rules->name,
                    fmt::join(Names(rules->presets, [](const auto& p) { return p.first; }), ", ")));
    }
    settings.insert(settings.end(), preset->second.begin(), preset->second.end());
  }
  return spec.With(settings);
}

Result<SystemSpec> SystemSpec::With(
    const std::vector<std::pair<std::string, std::string>>& settings) const {
  SystemSpec spec = *this;
  for (const auto& [key, value] : settings) STAC_RETURN_IF_ERROR(spec.Set(key, value));
  return spec;
}

const std::string& SystemSpec::Text(const std::string& key) const {
  const auto found = values_.find(key);
  if (found == values_.end()) {
    CheckFailed(__FILE__, __LINE__, fmt::format("{} has no setting {}", kind_name_, key));
  }
  return found->second;
}

double SystemSpec::Number(const std::string& key) const {
  const std::optional<double> number = ToNumber(Text(key));
  STAC_CHECK(number.has_value());
  return *number;
}

int SystemSpec::Integer(const std::string& key) const { return static_cast<int>(Number(key)); }

bool SystemSpec::Flag(const std::string& key) const { return Number(key) != 0; }

std::string SystemSpec::Canonical() const { return Join(kind_name_, values_); }

std::string SystemSpec::Short() const { return Join(kind_name_, given_); }

std::string DescribeSystems() {
  std::string text;
  for (const KindRules& kind : AllKinds()) {
    text += kind.name + ":";
    for (const SettingRule& rule : kind.settings) {
      text += fmt::format(" {} ({}, default {});", rule.key, Allowed(rule), rule.fallback);
    }
    for (const auto& [name, settings] : kind.presets) text += fmt::format(" preset {};", name);
    text.back() = '\n';
  }
  return text;
}

}  // namespace stac
