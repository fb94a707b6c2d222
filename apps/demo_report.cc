#include "demo_report.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "stac/base/file.h"

namespace stac {
namespace {

std::string Escaped(const std::string& text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

// Accuracy over time as a polyline; the axis runs from the 2nd percentile's decade to 100 %.
std::string AccuracyChart(const std::vector<double>& accuracy) {
  if (accuracy.size() < 2) return "";
  constexpr double kWidth = 900;
  constexpr double kHeight = 180;
  std::vector<double> sorted = accuracy;
  std::sort(sorted.begin(), sorted.end());
  const double low = std::max(0.0, std::floor(sorted[sorted.size() / 50] * 20) / 20 - 0.05);
  std::string points;
  for (size_t i = 0; i < accuracy.size(); ++i) {
    const double x = kWidth * static_cast<double>(i) / static_cast<double>(accuracy.size() - 1);
    const double y = kHeight * (1 - (std::max(accuracy[i], low) - low) / (1 - low));
    points += fmt::format("{:.1f},{:.1f} ", x, y);
  }
  return fmt::format(
      R"(<svg viewBox="-48 -8 {} {}" role="img" aria-label="pixel accuracy over time">
<rect x="0" y="0" width="{}" height="{}" class="plot"/>
<text x="-6" y="5" class="tick">100 %</text><text x="-6" y="{}" class="tick">{:.0f} %</text>
<polyline points="{}"/></svg>)",
      kWidth + 56, kHeight + 16, kWidth, kHeight, kHeight + 4, 100 * low, points);
}

std::string Row(const std::string& name, const std::string& value) {
  return fmt::format("<tr><th>{}</th><td>{}</td></tr>\n", name, value);
}

std::string Percentiles(const nlohmann::ordered_json& values) {
  return fmt::format("{:.1f} / {:.1f} / {:.1f} ms", values["p50"].get<double>(),
                     values["p95"].get<double>(), values["p99"].get<double>());
}

std::string Figure(const std::string& file, const std::string& caption) {
  return fmt::format("<figure><img src=\"{}\" alt=\"{}\"><figcaption>{}</figcaption></figure>\n",
                     file, caption, caption);
}

constexpr char kStyle[] = R"(
body{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:1080px;padding:0 1rem;color:#1c1c22}
h1{font-size:1.5rem;margin:0}h2{font-size:1.1rem;margin:2rem 0 .5rem}
.cards{display:flex;gap:1rem;flex-wrap:wrap;margin:1.2rem 0}
.card{flex:1 1 150px;border:1px solid #ddd;border-radius:8px;padding:.7rem 1rem}
.card b{display:block;font-size:1.5rem}.card span{color:#666;font-size:.85rem}
table{border-collapse:collapse}th{text-align:left;font-weight:500;color:#555;padding:.15rem 2rem .15rem 0}
td{font-variant-numeric:tabular-nums}
.grid{display:grid;grid-template-columns:repeat(auto-fit,minmax(330px,1fr));gap:1rem}
figure{margin:0}img,video{width:100%;border-radius:6px;background:#111}
figcaption{font-size:.85rem;color:#555}
svg{width:100%}.plot{fill:#fafafa;stroke:#ddd}.tick{font-size:12px;fill:#666;text-anchor:end}
polyline{fill:none;stroke:#c0392b;stroke-width:1.5}
)";

}  // namespace

Status WriteDemoReport(const std::filesystem::path& out, const nlohmann::ordered_json& summary,
                       const DemoEvaluation& evaluation) {
  const auto number = [&](const char* key) { return summary[key].get<double>(); };
  const auto card = [](const std::string& value, const std::string& what) {
    return fmt::format("<div class=\"card\"><b>{}</b><span>{}</span></div>\n", value, what);
  };
  const double total = number("video_kbps") + number("label_kbps") + number("feedback_kbps");
  std::string html =
      "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">"
      "<meta name=\"viewport\" content=\"width=device-width\">"
      "<title>stac demo</title><style>";
  html += kStyle;
  html += "</style>\n<h1>Task-oriented streaming: one run</h1>\n";
  html += fmt::format("<p>{} segmented by {}, device and server as two processes over SRT.</p>\n",
                      Escaped(summary["input"].get<std::string>()), Escaped(evaluation.network));
  html += "<div class=\"cards\">";
  html += card(fmt::format("{:.2f} %", 100 * evaluation.pixel_accuracy),
               "pixel accuracy against the network on raw frames");
  html += card(fmt::format("{:.2f} %", 100 * evaluation.mean_iou), "mean IoU");
  html += card(fmt::format("{:.0f} kb/s", total), "video, labels and feedback");
  html += card(fmt::format("{:.1f} ms", summary["label_latency_ms"]["p50"].get<double>()),
               "frame to labels, median");
  html += "</div>\n<video controls muted loop autoplay src=\"overlay.mp4\"></video>\n";
  html += "<h2>Pixel accuracy of each frame's labels at the moment they were delivered</h2>\n";
  html += AccuracyChart(evaluation.pa_of_frame);
  html += "<h2>Figures</h2><table>\n";
  html += Row("frames, of them keyframes", fmt::format("{} / {}", summary["frames"].get<int64_t>(),
                                                       summary["keyframes"].get<int64_t>()));
  html += Row("video / labels / feedback",
              fmt::format("{:.1f} / {:.1f} / {:.1f} kb/s", number("video_kbps"),
                          number("label_kbps"), number("feedback_kbps")));
  html += Row("label latency p50 / p95 / p99", Percentiles(summary["label_latency_ms"]));
  html += Row("keyframe round trip p50 / p95 / p99", Percentiles(summary["keyframe_latency_ms"]));
  for (const auto& [stage, value] : summary["stage_ms"].items()) {
    html += Row("mean " + stage, fmt::format("{:.1f} ms", value.get<double>()));
  }
  html +=
      Row("frames dropped, reconnects", fmt::format("{} / {}", summary["dropped"].get<int64_t>(),
                                                    summary["reconnects"].get<int64_t>()));
  html += "</table>\n<h2>One keyframe</h2><div class=\"grid\">\n";
  html += Figure("frame.png", "raw frame");
  html += Figure("decoded.png", "as the server received it");
  html += Figure("labels.png", "labels delivered for it, carried along the optical flow");
  html += Figure("reference.png", "the network on the raw frame");
  html += Figure("sensitivity.png", "sensitivity of the network (logarithmic)");
  html += Figure("levels.png", "levels: bright is fine quantization, dark is coarse");
  html += Figure("difference.png", "where delivered labels differ from the reference (red)");
  html += "</div>\n</html>\n";
  return WriteFile(out / "report.html", html);
}

}  // namespace stac
