#include "train_accmpeg_command.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "command.h"
#include "stac/base/log.h"
#include "stac/codec/video_encoder.h"
#include "stac/lab/accmpeg/macroblock_labels.h"
#include "stac/lab/train/codec_noise.h"
#include "stac/lab/train/dataset.h"
#include "stac/lab/train/recipe.h"
#include "stac/lab/train/trainer.h"
#include "stac/segment/segmenter.h"

namespace stac {
namespace {

struct AccMpegOptions {
  std::string spec, output;
  double share = 0.3;
  bool resume = false;
};

Status RunTrainAccMpeg(const AccMpegOptions& options) {
  STAC_ASSIGN_OR_RETURN(TrainRecipe recipe, ReadTrainRecipe(options.spec));
  if (recipe.network != "accmpeg" || recipe.classes != 2 || recipe.teachers.size() != 1) {
    return Fail(
        "{}: a recipe for macroblocks has network.definition = \"accmpeg\", "
        "network.classes = 2 and one [[teacher]], the network that the server runs",
        options.spec);
  }
  // Only pictures are read: their labels are made here, and no teacher is left for the training.
  const double labels_loss = recipe.labels_loss;
  recipe.labels_loss = 0;
  STAC_ASSIGN_OR_RETURN(auto samples, LoadTrainData(recipe, recipe.data));
  STAC_ASSIGN_OR_RETURN(auto validation, LoadTrainData(recipe, recipe.validation));
  STAC_ASSIGN_OR_RETURN(const auto server, LoadSegmenter(recipe.teachers.front().file));
  STAC_RETURN_IF_ERROR(
      LabelMacroblocks(*server, options.share, MakeX264Encoder, samples, &stop_requested));
  STAC_RETURN_IF_ERROR(
      LabelMacroblocks(*server, options.share, MakeX264Encoder, validation, &stop_requested));
  recipe.labels_loss = labels_loss;
  recipe.teachers.clear();

  const TrainRun run{.folder = options.output,
                     .resume = options.resume,
                     .stop = &stop_requested,
                     .codec_noise = MakeCodecNoise(MakeX264Encoder)};
  STAC_ASSIGN_OR_RETURN(const TrainReport report, TrainNetwork(recipe, samples, validation, run));
  fmt::print("{} of {} steps", report.steps, recipe.steps);
  if (std::isfinite(report.last_loss)) fmt::print(", loss {:.4f}", report.last_loss);
  if (report.pixel_accuracy >= 0) {
    fmt::print(
        "; {:.1f} % of the validation's macroblocks sorted right, against {:.1f} % without "
        "a network",
        100 * report.pixel_accuracy, 100 * std::max(options.share, 1 - options.share));
  }
  fmt::print("\n");
  if (report.finished)
    fmt::print("{}\n", (run.folder / "network.stacnet").string());
  else
    spdlog::info("stopped: go on with --resume");
  return OkStatus();
}

}  // namespace

void AddTrainAccMpegCommand(CLI::App& train) {
  auto options = std::make_shared<AccMpegOptions>();
  CLI::App* command = AddCommand(
      train, "accmpeg",
      "Train AccMPEG's on-device network, which finds the macroblocks that need high quality.",
      "  stac train accmpeg --spec assets/accmpeg_deeplab.toml --output out/accmpeg\n",
      [options] { return RunTrainAccMpeg(*options); });
  command->add_option("--spec", options->spec, "Recipe (TOML; docs/networks.md)")->required();
  command->add_option("--output", options->output, "Folder for checkpoint, log and network")
      ->required();
  command
      ->add_option("--share", options->share,
                   "Share of a picture's macroblocks that are to be of high quality")
      ->check(CLI::Range(0.01, 0.99))
      ->capture_default_str();
  command->add_flag("--resume", options->resume, "Go on from the output folder's checkpoint");
}

}  // namespace stac
