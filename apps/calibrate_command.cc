#include <memory>

#include "command.h"
#include "network_files.h"
#include "stac/base/log.h"
#include "stac/base/progress.h"
#include "stac/capture/frame_source.h"
#include "stac/quant/calibrate.h"

namespace stac {
namespace {

struct Options {
  std::string network = DefaultNetwork();
  std::vector<std::string> inputs;
  int frames = 20;
  int max_width = 0;
  std::string out;
  CalibrationOptions calibration;
};

// Adds up to `count` frames of one clip, spread evenly over it where its length is known.
Status AddClip(const std::string& input, const Options& options, Calibrator& calibrator,
               Progress& progress, int& done) {
  SourceOptions source_options{.max_width = options.max_width};
  STAC_ASSIGN_OR_RETURN(std::unique_ptr<FrameSource> source, OpenSource(input, source_options));
  source_options.frame_step =
      static_cast<int>(std::max<int64_t>(1, source->info().frame_count / options.frames));
  source_options.max_frames = int64_t{source_options.frame_step} * options.frames;
  STAC_ASSIGN_OR_RETURN(source, OpenSource(input, source_options));
  calibrator.BeginClip(source->info().name);
  for (int i = 0; i < options.frames; ++i) {
    if (stop_requested) return Fail("interrupted; no profile was written");
    STAC_ASSIGN_OR_RETURN(const std::optional<Frame> frame, source->Next());
    if (!frame) break;
    STAC_RETURN_IF_ERROR(calibrator.Add(*frame));
    progress.Update(++done, source->info().name);
  }
  return OkStatus();
}

Status RunCalibrate(Options options) {
  if (options.network.empty()) {
    return Fail("no network: name a TorchScript file or one of our weight files with --network");
  }
  if (options.calibration.min_qp >= options.calibration.max_qp) {
    return Fail("--min-qp {:g} must be below --max-qp {:g}", options.calibration.min_qp,
                options.calibration.max_qp);
  }
  if (options.out.empty()) options.out = ProfileBeside(options.network);
  STAC_ASSIGN_OR_RETURN(std::unique_ptr<Segmenter> segmenter, LoadSegmenter(options.network));
  Calibrator calibrator(*segmenter, options.calibration);
  Progress progress("calibrating", static_cast<int64_t>(options.inputs.size()) * options.frames);
  int done = 0;
  for (const std::string& input : options.inputs) {
    STAC_RETURN_IF_ERROR(AddClip(input, options, calibrator, progress, done));
  }
  progress.Finish();
  STAC_ASSIGN_OR_RETURN(const Profile profile, calibrator.Finish());
  STAC_RETURN_IF_ERROR(WriteProfile(options.out, profile));
  spdlog::info("{}: {} levels, QP {:g} to {:g}, from {} frames; hash {}", options.out,
               profile.level_count, profile.min_qp, profile.max_qp, profile.frame_count,
               ProfileHash(profile));
  return OkStatus();
}

}  // namespace

void AddCalibrateCommand(CLI::App& app) {
  auto options = std::make_shared<Options>();
  CLI::App* command = AddCommand(
      app, "calibrate", "Find out what a network is sensitive to; write its profile.",
      "  stac calibrate --network deeplab.pt --input drive1.mp4 --input drive2/ --frames 20\n"
      "  (writes deeplab.profile.json, which stac server finds beside the network)\n",
      [options] { return RunCalibrate(*options); });
  command->add_option("--network", options->network, "TorchScript (.pt) or own weights (.stacnet)")
      ->capture_default_str();
  command->add_option("--input", options->inputs, "Clip or image folder; repeatable")->required();
  command->add_option("--frames", options->frames, "Of each clip, spread over its length")
      ->check(CLI::Range(1, 10000))
      ->capture_default_str();
  command->add_option("--max-width", options->max_width, "Scale larger frames down")
      ->check(CLI::NonNegativeNumber);
  command->add_option("--levels", options->calibration.level_count, "L: levels of the ladder")
      ->check(CLI::Range(2, 128))
      ->capture_default_str();
  command->add_option("--min-qp", options->calibration.min_qp, "QP of the finest level")
      ->check(CLI::Range(1.0, 50.0))
      ->capture_default_str();
  command->add_option("--max-qp", options->calibration.max_qp, "QP of the coarsest level")
      ->check(CLI::Range(2.0, 51.0))
      ->capture_default_str();
  command->add_option("--out", options->out, "Profile (default: NETWORK.profile.json)");
}

}  // namespace stac
