#include <fmt/format.h>

#include "stac/lab/system_settings_internal.h"

namespace stac {
namespace {

SettingRule Real(std::string key, std::string fallback, double low, double high) {
  return {.key = std::move(key), .fallback = std::move(fallback), .low = low, .high = high};
}
SettingRule Whole(std::string key, std::string fallback, double low, double high) {
  return {.key = std::move(key),
          .fallback = std::move(fallback),
          .low = low,
          .high = high,
          .integer = true};
}
SettingRule Switch(std::string key, std::string fallback) {
  return Whole(std::move(key), std::move(fallback), 0, 1);
}
SettingRule Choice(std::string key, std::vector<std::string> choices) {
  return {.key = std::move(key), .fallback = choices.front(), .choices = std::move(choices)};
}

using Rules = std::vector<SettingRule>;

Rules operator+(Rules a, const Rules& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

// fps 0: every frame is sent. consumer: who wants the labels of every frame.
Rules Common(const std::string& propagate) {
  return {Real("fps", "0", 0, 240), Real("scale", "1", 0.25, 1),
          Choice("consumer", {"device", "server"}), Switch("propagate", propagate)};
}
// The encoder as its users set it: x264, or x265. psy: its psychovisual mode decision, which keeps
// texture.
Rules Encoder(const std::string& psy) {
  return {Choice("codec", {"h264", "h265"}),
          Choice("preset", {"medium", "ultrafast", "superfast", "veryfast", "faster", "fast",
                            "slow", "slower", "veryslow"}),
          Whole("chroma_qp_offset", "0", -12, 12), Switch("intra", "0"), Switch("psy", psy)};
}
// A quantization parameter for every macroblock, planned by the device. first_offset: of the first
// frame's QP, which all others are predicted from; x264's own rate control takes -3.
Rules Planned(const std::string& aq, const std::vector<std::string>& matrices,
              const std::string& first_offset) {
  return {Real("qp", "32", 1, 51), Real("aq", aq, 0, 3), Choice("matrices", matrices),
          Real("first_offset", first_offset, -20, 20)};
}
Rules TwoLevel() { return {Real("delta", "8", 0, 40)}; }

std::vector<KindRules> MakeKinds() {
  std::vector<KindRules> kinds;
  kinds.push_back(
      {SystemKind::kJpeg, "jpeg", Common("0") + Rules{Whole("quality", "50", 1, 100)}, {}});
  kinds.push_back(
      {SystemKind::kH264,
       "h264",
       Common("0") + Encoder("1") + Rules{Real("crf", "28", 0, 51), Real("aq", "1", 0, 3)},
       {}});
  kinds.push_back(
      {SystemKind::kH264Abr,
       "h264-abr",
       Common("0") + Encoder("1") + Rules{Real("kbps", "500", 1, 1e6), Real("aq", "1", 0, 3)},
       {}});
  // `step`: geometric mean of the luma table, which stands for B (docs/lab.md).
  kinds.push_back(
      {SystemKind::kGrace, "grace", Common("0") + Rules{Real("step", "16", 1, 255)}, {}});
  kinds.push_back(
      {SystemKind::kGracePlus, "grace+", Common("1") + Rules{Real("step", "16", 1, 255)}, {}});
  // The map is made on every `every`-th frame, by the device's network or (oracle) from the true
  // accuracy gradients of the raw frame. Psychovisual decisions and flat matrices are what a
  // uniform plan does best with (docs/results/tune_encoder.csv); whether dilation pays depends on
  // fraction and delta (tune_accmpeg.csv).
  kinds.push_back({SystemKind::kAccMpeg,
                   "accmpeg",
                   Common("0") + Encoder("1") + Planned("0.6", {"flat", "jvt"}, "-3") + TwoLevel() +
                       Rules{Choice("map", {"predicted", "oracle"}), Real("fraction", "0.3", 0, 1),
                             Whole("dilate", "0", 0, 16), Whole("every", "10", 1, 1000)},
                   {}});
  // rate: x264's own (a rate factor), or the QP in every macroblock, as streams have it whose QP
  // changes while they run: x264's moves with the keyframe rate.
  kinds.push_back(
      {SystemKind::kCasva,
       "casva",
       Common("0") + Encoder("1") +
           Rules{Real("qp", "28", 0, 51), Real("aq", "0", 0, 3), Choice("rate", {"crf", "qp"})},
       {}});
  kinds.push_back({SystemKind::kBoundary,
                   "boundary",
                   Common("0") + Encoder("1") + Planned("0", {"flat", "jvt"}, "0") + TwoLevel() +
                       Rules{Whole("distance", "8", 0, 256)},
                   {}});
  kinds.push_back(
      {SystemKind::kStac,
       "stac",
       Common("1") + Encoder("1") + Planned("0.6", {"flat", "jvt", "profile"}, "-3") +
           Rules{Choice("rule", {"power", "paper"}), Real("exponent", "0.7", 0, 2),
                 Real("clip", "6", 0, 51), Choice("objective", {"loss", "projection", "margin"}),
                 Whole("projections", "2", 1, 16), Real("chroma", "0", 0, 16),
                 Whole("gradient_downscale", "1", 1, 4), Whole("gradient_every", "1", 1, 1000),
                 Switch("gradient_half", "0"), Switch("refine", "0"),
                 Switch("propagate_levels", "1"), Whole("region", "0", 0, 256),
                 Whole("levels", "8", 2, 128), Choice("ladder", {"full", "around"}),
                 Switch("middle_first", "0"), Whole("label_grid", "0", 0, 8)},
       // The method as printed: Algorithm 1 on the fake-label loss, tables from gradients, eq. (7).
       {{"paper",
         {{"rule", "paper"},
          {"objective", "loss"},
          {"matrices", "profile"},
          {"aq", "0"},
          {"refine", "1"},
          {"first_offset", "0"},
          {"middle_first", "1"},
          {"region", "16"},
          {"levels", "32"},
          {"label_grid", "1"}}},
        // What a first study on one drive and one network had found.
        {"recipe",
         {{"objective", "projection"},
          {"clip", "10"},
          {"matrices", "jvt"},
          {"psy", "0"},
          {"first_offset", "0"},
          {"region", "16"},
          {"levels", "32"},
          {"label_grid", "1"}}},
        // Fig. 1: consecutive frames as single images, two levels.
        {"single",
         {{"intra", "1"},
          {"levels", "2"},
          {"ladder", "around"},
          {"clip", "4"},
          {"first_offset", "0"},
          {"propagate", "0"},
          {"region", "16"},
          {"label_grid", "1"}}}}});
  return kinds;
}

}  // namespace

const std::vector<KindRules>& AllKinds() {
  static const std::vector<KindRules> kinds = MakeKinds();
  return kinds;
}

std::string Allowed(const SettingRule& rule) {
  if (!rule.choices.empty()) {
    std::string text;
    for (size_t i = 0; i < rule.choices.size(); ++i) {
      if (i > 0) text += i + 1 == rule.choices.size() ? " or " : ", ";
      text += rule.choices[i];
    }
    return text;
  }
  if (rule.integer && rule.high - rule.low == 1)
    return fmt::format("{} or {}", rule.low, rule.high);
  return fmt::format("{}{}..{}", rule.integer ? "a whole number " : "", rule.low, rule.high);
}

}  // namespace stac
