#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "command.h"
#include "json_text.h"
#include "stac/base/log.h"
#include "stac/capture/frame_source.h"
#include "stac/lab/train/agreement.h"
#include "stac/lab/train/codec_noise.h"
#include "stac/lab/train/dataset.h"
#include "stac/lab/train/recipe.h"
#include "stac/lab/train/trainer.h"
#include "stac/segment/classes.h"
#include "stac/segment/segmenter.h"
#if STAC_HAS_DEVICE
#include "train_accmpeg_command.h"
#endif

namespace stac {
namespace {

struct NetworkOptions {
  std::string spec;
  std::string output;
  std::string cache;
  bool resume = false;
};

Status RunTrainNetwork(const NetworkOptions& options) {
  STAC_ASSIGN_OR_RETURN(const TrainRecipe recipe, ReadTrainRecipe(options.spec));
  TrainRun run{.folder = options.output, .resume = options.resume, .stop = &stop_requested};
#if STAC_HAS_DEVICE
  run.codec_noise = MakeCodecNoise(MakeX264Encoder);
#endif
  STAC_ASSIGN_OR_RETURN(auto samples, LoadTrainData(recipe, recipe.data));
  STAC_ASSIGN_OR_RETURN(auto validation, LoadTrainData(recipe, recipe.validation));
  const std::filesystem::path cache =
      options.cache.empty() ? run.folder / "teacher_cache" : std::filesystem::path(options.cache);
  if (recipe.asks_beforehand())
    STAC_RETURN_IF_ERROR(Distil(recipe, cache, samples, &stop_requested));
  STAC_RETURN_IF_ERROR(Distil(recipe, cache, validation, &stop_requested));
  STAC_ASSIGN_OR_RETURN(const TrainReport report, TrainNetwork(recipe, samples, validation, run));
  fmt::print("{} of {} steps", report.steps, recipe.steps);
  if (std::isfinite(report.last_loss)) fmt::print(", loss {:.4f}", report.last_loss);
  if (report.mean_iou >= 0)
    fmt::print(", validation PA {:.1f} %, mIoU {:.1f} %", 100 * report.pixel_accuracy,
               100 * report.mean_iou);
  fmt::print("\n");
  if (report.finished)
    fmt::print("{}\n", (run.folder / "network.stacnet").string());
  else
    spdlog::info("stopped: go on with --resume");
  return OkStatus();
}

struct AgreementOptions {
  std::string reference;
  std::vector<std::string> networks;
  std::vector<std::string> sources;
  int step = 1;
  int max_width = 0;
  bool json = false;
};

nlohmann::ordered_json AgreementJson(const std::string& clip, const NetworkInfo& network,
                                     const Agreement& agreement) {
  nlohmann::ordered_json iou;
  const auto classes = DefaultClasses(network.class_count);
  for (size_t i = 0; i < agreement.iou.size(); ++i)
    if (agreement.iou[i] >= 0) iou[classes[i].name] = agreement.iou[i];
  return {{"clip", clip},
          {"network", network.name},
          {"frames", agreement.frames},
          {"pixel_accuracy", agreement.pixel_accuracy},
          {"mean_iou", agreement.mean_iou},
          {"iou", iou},
          {"forward_ms", agreement.forward_ms}};
}

Status RunAgreement(const AgreementOptions& options) {
  STAC_ASSIGN_OR_RETURN(const auto reference, LoadSegmenter(options.reference));
  nlohmann::ordered_json rows = nlohmann::ordered_json::array();
  if (!options.json)
    fmt::print("{:<28} {:<24} {:>6} {:>7} {:>7} {:>8}\n", "clip", "network", "frames", "PA %",
               "mIoU %", "ms");
  for (const std::string& location : options.sources)
    for (const std::string& path : options.networks) {
      STAC_ASSIGN_OR_RETURN(const auto network, LoadSegmenter(path));
      STAC_ASSIGN_OR_RETURN(const auto source, OpenSource(location, {.max_width = options.max_width,
                                                                     .frame_step = options.step}));
      STAC_ASSIGN_OR_RETURN(const Agreement agreement,
                            MeasureAgreement(*source, *reference, *network, &stop_requested));
      if (options.json) {
        rows.push_back(AgreementJson(source->info().name, network->info(), agreement));
        continue;
      }
      fmt::print("{:<28} {:<24} {:>6} {:>7.2f} {:>7.2f} {:>8.1f}\n",
                 source->info().name.substr(0, 28), network->info().name, agreement.frames,
                 100 * agreement.pixel_accuracy, 100 * agreement.mean_iou, agreement.forward_ms);
    }
  if (options.json) fmt::print("{}\n", JsonText(rows));
  return OkStatus();
}

}  // namespace

void AddTrainTuner(CLI::App& train);  // train_tuner_command.cc

void AddTrainCommand(CLI::App& app) {
  CLI::App& train = *app.add_subcommand("train", "Train networks, and measure how they agree.");
  train.require_subcommand(1);
  auto options = std::make_shared<NetworkOptions>();
  CLI::App* network = AddCommand(
      train, "network", "Train a segmentation network by a recipe, with or without teachers.",
      "  stac train network --spec assets/edge_city19/stage1.toml --output out/stage1\n"
      "  stac train network --spec assets/edge_city19/stage1.toml --output out/stage1 --resume\n",
      [options] { return RunTrainNetwork(*options); });
  network->add_option("--spec", options->spec, "Recipe (TOML; docs/networks.md)")->required();
  network->add_option("--output", options->output, "Folder for checkpoint, log and network")
      ->required();
  network->add_option("--cache", options->cache,
                      "Folder for the teachers' answers (default: teacher_cache in the output)");
  network->add_flag("--resume", options->resume, "Go on from the output folder's checkpoint");

#if STAC_HAS_DEVICE
  AddTrainAccMpegCommand(train);
#endif

  auto agreement = std::make_shared<AgreementOptions>();
  CLI::App* agree = AddCommand(
      train, "agreement", "Measure how well networks agree with a reference network on clips.",
      "  stac train agreement --reference deeplab.pt --network assets/edge_city19.stacnet "
      "--source clip.mp4\n",
      [agreement] { return RunAgreement(*agreement); });
  agree->add_option("--reference", agreement->reference, "Network whose labels are the truth")
      ->required();
  agree->add_option("--network", agreement->networks, "Networks to measure")->required();
  agree->add_option("--source", agreement->sources, "Clips: video files or picture folders")
      ->required();
  agree->add_option("--step", agreement->step, "Every n-th frame")
      ->check(CLI::Range(1, 100000))
      ->capture_default_str();
  agree->add_option("--max-width", agreement->max_width, "Scale frames down to this width")
      ->check(CLI::Range(0, 16384));
  agree->add_flag("--json", agreement->json, "Print JSON, with the IoU of each class");

  AddTrainTuner(train);
}

}  // namespace stac
