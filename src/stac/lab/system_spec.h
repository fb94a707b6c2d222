#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "stac/base/result.h"

namespace stac {

// The streaming systems that the lab compares (docs/lab.md says what each is).
enum class SystemKind {
  kJpeg,
  kH264,
  kH264Abr,
  kGrace,
  kGracePlus,
  kAccMpeg,
  kCasva,
  kBoundary,
  kStac,
};

// One system with all of its settings, from text such as
//   h264:crf=30,aq=1,preset=medium,scale=0.75,fps=5
//   stac:qp=32,fps=5,exponent=0.7      stac:paper,qp=32
// Every setting of the kind has a value: the given one or the default.
class SystemSpec {
 public:
  // Fails with a sentence that names the offending setting and what is allowed.
  static Result<SystemSpec> Parse(std::string_view text);
  // The same with further settings on top ("crf=30" and so on), as knobs give them.
  Result<SystemSpec> With(const std::vector<std::pair<std::string, std::string>>& settings) const;

  SystemKind kind() const { return kind_; }
  const std::string& kind_name() const { return kind_name_; }
  // Preconditions: the kind has this setting, of this type.
  double Number(const std::string& key) const;
  int Integer(const std::string& key) const;
  bool Flag(const std::string& key) const;
  const std::string& Text(const std::string& key) const;
  bool Has(const std::string& key) const { return values_.contains(key); }
  // True if it was written down, and is no default.
  bool Given(const std::string& key) const { return given_.contains(key); }

  // Kind and all settings in alphabetical order: what identifies a point.
  std::string Canonical() const;
  // Kind and only the settings that were given.
  std::string Short() const;
  // Keyframes are coded at this share of the frame's width and height.
  double scale() const { return Number("scale"); }
  // accmpeg whose map comes from the device's own network.
  bool PredictsMap() const { return kind_ == SystemKind::kAccMpeg && Text("map") == "predicted"; }
  // accmpeg whose map comes from the true accuracy gradients.
  bool NeedsAccuracyGradients() const { return kind_ == SystemKind::kAccMpeg && !PredictsMap(); }

 private:
  SystemKind kind_ = SystemKind::kH264;
  std::string kind_name_;
  std::map<std::string, std::string> values_;  // all
  std::map<std::string, std::string> given_;   // those that were written down

  Status Set(const std::string& key, const std::string& value);
};

// What can be written after each kind: "h264: crf (0..51, default 28), ..." one line per kind.
std::string DescribeSystems();

}  // namespace stac
