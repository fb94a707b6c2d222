#include <charconv>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "command.h"
#include "stac/base/file.h"
#include "stac/codec/nal_units.h"
#include "stac/codec/qp_plan.h"
#include "stac/codec/video_decoder.h"

namespace stac {
namespace {

struct Options {
  std::string stream;
  std::string plan;
  bool json = false;
};

struct PlanLine {
  FrameId frame = 0;
  QpMap qp;
};

Result<PlanLine> ParsePlanLine(const std::string& line, const std::string& where) {
  const auto json = nlohmann::json::parse(line, nullptr, false);
  if (!json.is_object() || !json.contains("frame") || !json["frame"].is_number_unsigned() ||
      !json.contains("qp") || !json["qp"].is_string() ||
      !json.value("columns", nlohmann::json()).is_number_unsigned() ||
      !json.value("rows", nlohmann::json()).is_number_unsigned()) {
    return Fail("{}: not a line of a plan (stac device --plan writes them)", where);
  }
  const auto columns = json["columns"].get<uint64_t>();
  const auto rows = json["rows"].get<uint64_t>();
  const std::string hex = json["qp"].get<std::string>();
  if (columns > 1024 || rows > 1024 || hex.size() != 2 * columns * rows) {
    return Fail("{}: {} QPs are not {}x{} macroblocks", where, hex.size() / 2, columns, rows);
  }
  PlanLine plan{.frame = json["frame"].get<FrameId>(),
                .qp = QpMap(static_cast<int>(columns), static_cast<int>(rows))};
  for (size_t i = 0; i < plan.qp.size(); ++i) {
    const char* digits = hex.data() + 2 * i;
    const auto parsed = std::from_chars(digits, digits + 2, plan.qp[i], 16);
    if (parsed.ptr != digits + 2 || plan.qp[i] > kMaxQp) {
      return Fail("{}: macroblock {} has no QP of 0 to 51", where, i);
    }
  }
  return plan;
}

Status RunInspect(const Options& options) {
  STAC_ASSIGN_OR_RETURN(const Bytes stream, ReadFile(options.stream));
  const std::vector<ByteSpan> access_units = SplitAccessUnits(stream);
  if (access_units.empty()) {
    return Fail("{} holds no H.264 pictures (an Annex B byte stream is expected)", options.stream);
  }
  std::ifstream plan_file(options.plan);
  if (!plan_file) return Fail("cannot read the plan {}: no such file", options.plan);

  STAC_ASSIGN_OR_RETURN(std::unique_ptr<VideoDecoder> decoder, MakeVideoDecoder({.want_qp = true}));
  QpAudit audit;
  double qp_sum = 0;
  int64_t idr_frames = 0;
  std::string line;
  for (size_t i = 0; i < access_units.size(); ++i) {
    const std::string where = fmt::format("{}:{}", options.plan, i + 1);
    if (!std::getline(plan_file, line)) {
      return Fail("the plan {} ends after {} frames, the stream has {}", options.plan, i,
                  access_units.size());
    }
    STAC_ASSIGN_OR_RETURN(const PlanLine plan, ParsePlanLine(line, where));
    auto decoded = decoder->Decode(access_units[i]);
    if (!decoded) return Fail("frame {}: {}", plan.frame, decoded.error().message);
    if (!decoded->qp || !decoded->qp->SameSize(plan.qp)) {
      return Fail("{}: {}x{} macroblocks are planned, but the picture is {}x{}", where,
                  plan.qp.width(), plan.qp.height(), decoded->frame.width(),
                  decoded->frame.height());
    }
    audit.Add(AuditQp(plan.qp, *decoded->qp, AnchorQp(plan.qp)));
    qp_sum += MeanQp(*decoded->qp);
    idr_frames += decoded->idr;
  }
  if (std::getline(plan_file, line)) {
    return Fail("the stream ends after {} frames, the plan {} has more", access_units.size(),
                options.plan);
  }
  const nlohmann::ordered_json report = {
      {"frames", access_units.size()},
      {"idr_frames", idr_frames},
      {"bytes", stream.size()},
      {"mean_qp", qp_sum / static_cast<double>(access_units.size())},
      {"macroblocks", audit.macroblocks},
      {"coded_macroblocks", audit.coded},
      {"carried_qp_macroblocks", audit.followed},
      {"uncoded_macroblocks", audit.inherited},
      {"mismatched", audit.mismatched}};
  if (options.json) {
    fmt::print("{}\n", report.dump(2));
  } else {
    fmt::print("{} frames ({} IDR), {} bytes, mean QP {:.1f}\n", access_units.size(), idr_frames,
               stream.size(), qp_sum / static_cast<double>(access_units.size()));
    fmt::print(
        "{} macroblocks: {} with the planned QP ({} of them carry it themselves), {} without "
        "coefficients, {} mismatched\n",
        audit.macroblocks, audit.coded, audit.followed, audit.inherited, audit.mismatched);
  }
  return OkStatus();
}

}  // namespace

void AddInspectCommand(CLI::App& app) {
  auto options = std::make_shared<Options>();
  CLI::App* command = AddCommand(
      app, "inspect", "Compare the QP of every macroblock with the plan it was coded by.",
      "  stac device ... --stream out/video.h264 --plan out/plan.jsonl\n"
      "  stac inspect out/video.h264 --plan out/plan.jsonl --json\n",
      [options] { return RunInspect(*options); });
  command->add_option("stream", options->stream, "H.264 file written by stac device --stream")
      ->required();
  command->add_option("--plan", options->plan, "The plan written beside it")->required();
  command->add_flag("--json", options->json, "Print JSON");
}

}  // namespace stac
