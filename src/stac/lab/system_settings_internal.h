#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "stac/lab/system_spec.h"

namespace stac {

// What a setting may hold. A setting with choices is text; without, a number in [low, high].
struct SettingRule {
  std::string key;
  std::string fallback;
  double low = 0;
  double high = 0;
  bool integer = false;
  std::vector<std::string> choices;
};

struct KindRules {
  SystemKind kind;
  std::string name;
  std::vector<SettingRule> settings;
  // Named sets of settings ("stac:paper"), written without '='.
  std::vector<std::pair<std::string, std::vector<std::pair<std::string, std::string>>>> presets;
};

const std::vector<KindRules>& AllKinds();
// "0..51", "0 or 1", "flat, jvt or profile".
std::string Allowed(const SettingRule& rule);

}  // namespace stac
