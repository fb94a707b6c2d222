#include <algorithm>
#include <memory>

#include "command.h"
#include "stac/base/file.h"
#include "stac/lab/train/tuner_check.h"
#include "stac/lab/train/tuner_trainer.h"

namespace stac {
namespace {

// Of `stac train tuner`'s closing table.
constexpr int kScoredSeconds = 400;

struct Options {
  std::string table, system = "stac", bits = "uplink", output;
  std::vector<std::string> test_clips;
  bool scale = false;
  double area_log2 = 5;
  double bits_log2 = 0.5;
  double content_log2 = 1;
  double share = 1;
  TunerTrainOptions train;
};

struct Split {
  std::vector<SegmentRow> train, test;
};

Result<Split> SplitRows(std::vector<SegmentRow> rows, const Options& options) {
  std::erase_if(rows, [&](const SegmentRow& row) { return row.system != options.system; });
  if (rows.empty()) return Fail("{} has no rows of system {}", options.table, options.system);
  if (std::any_of(rows.begin(), rows.end(),
                  [](const SegmentRow& row) { return row.configuration.keyframe_fps <= 0; })) {
    return Fail(
        "{} has rows without a keyframe rate, which a tuner changes by factors: sweep with "
        "rates above 0",
        options.table);
  }
  // A tuner that does not choose the size is told about full size only.
  if (!options.scale) {
    std::erase_if(rows, [](const SegmentRow& row) { return row.configuration.scale != 1; });
    if (rows.empty()) return Fail("{} has no rows at full size: add --scale", options.table);
  }
  for (const std::string& clip : options.test_clips) {
    if (std::none_of(rows.begin(), rows.end(), [&](const auto& row) { return row.clip == clip; })) {
      return Fail("--test-clip {}: {} has no such clip", clip, options.table);
    }
  }
  Split split;
  for (SegmentRow& row : rows) {
    const bool test = std::find(options.test_clips.begin(), options.test_clips.end(), row.clip) !=
                      options.test_clips.end();
    (test ? split.test : split.train).push_back(std::move(row));
  }
  if (split.train.empty()) return Fail("all clips are for testing: none is left to train on");
  return split;
}

// The range of what was measured.
ControlLimits LimitsOf(const std::vector<SegmentRow>& rows) {
  ControlLimits limits{.min_base_qp = 71,
                       .max_base_qp = -20,
                       .min_keyframe_fps = 1000,
                       .max_keyframe_fps = 0,
                       .min_scale = 1};
  for (const SegmentRow& row : rows) {
    limits.min_base_qp = std::min(limits.min_base_qp, row.configuration.base_qp);
    limits.max_base_qp = std::max(limits.max_base_qp, row.configuration.base_qp);
    limits.min_keyframe_fps = std::min(limits.min_keyframe_fps, row.configuration.keyframe_fps);
    limits.max_keyframe_fps = std::max(limits.max_keyframe_fps, row.configuration.keyframe_fps);
    limits.min_scale = std::min(limits.min_scale, row.configuration.scale);
  }
  return limits;
}

void PrintScore(const std::string& name, Controller& controller,
                const std::vector<SegmentRow>& rows, SegmentBits bits) {
  const ControllerScore score = ScoreController(controller, rows, bits, kScoredSeconds, 1);
  if (score.seconds == 0) return;
  fmt::print("{:<22} {:>7} {:>8.2f} {:>8.2f} {:>7.1f} {:>11.1f} {:>7.2f}\n", name, score.seconds,
             100 * score.accuracy, 100 * score.best_accuracy, 100 * score.use,
             100 * score.overshoot, score.miss_octaves);
}

Status RunTrainTuner(const Options& options) {
  STAC_ASSIGN_OR_RETURN(auto rows, ReadSegmentTable(options.table));
  STAC_ASSIGN_OR_RETURN(const Split split, SplitRows(std::move(rows), options));
  const SegmentBits bits = options.bits == "uplink" ? SegmentBits::kUplink : SegmentBits::kTotal;
  STAC_ASSIGN_OR_RETURN(const TunerData data,
                        TunerData::Make(split.train, {.bits = bits,
                                                      .scale = options.scale,
                                                      .min_area_log2 = -1,
                                                      .max_area_log2 = options.area_log2,
                                                      .bits_log2 = options.bits_log2,
                                                      .content_log2 = options.content_log2}));
  STAC_ASSIGN_OR_RETURN(const TunerData test,
                        TunerData::Make(split.test.empty() ? split.train : split.test,
                                        {.bits = bits, .scale = options.scale}));
  TunerTrainOptions train = options.train;
  train.stop = &stop_requested;
  train.origin = fmt::format("stac train tuner, {} rows of {}, seed {}", split.train.size(),
                             options.system, train.seed);
  STAC_ASSIGN_OR_RETURN(const TunerTraining trained,
                        TrainTuner(data, test, options.scale ? 3 : 2, train));
  const std::string weights = trained.network.ToJson();
  STAC_RETURN_IF_ERROR(TunerNetwork::FromJson(weights));  // devices must be able to read them
  STAC_RETURN_IF_ERROR(WriteFile(options.output, weights));

  fmt::print("{} pairs, loss {:.3f}, test {:.3f} (squared octaves); {} FLOP a decision\n",
             data.pairs(), trained.loss, trained.test_loss, trained.network.flops());
  fmt::print("{:<22} {:>7} {:>8} {:>8} {:>7} {:>11} {:>7}\n", "knowing the bandwidth", "seconds",
             "PA %", "best %", "use %", "overshoot %", "octaves");
  const auto tuner = MakeTunerController(trained.network, LimitsOf(split.train), options.share);
  // None if no configuration was measured in all seconds.
  const std::vector<ProfileRow> profile = ProfileOfSegments(split.train, bits);
  const auto table = profile.empty() ? nullptr : MakeProfileTableController(profile, options.share);
  for (const auto& [name, of] : {std::pair{"training", &split.train}, {"test", &split.test}}) {
    PrintScore(fmt::format("{} clips, tuner", name), *tuner, *of, bits);
    if (table) PrintScore(fmt::format("{} clips, profile", name), *table, *of, bits);
  }
  fmt::print("{}\n", options.output);
  return OkStatus();
}

}  // namespace

void AddTrainTuner(CLI::App& train) {
  auto options = std::make_shared<Options>();
  CLI::App* command = AddCommand(
      train, "tuner", "Train the network that chooses B and the keyframe rate, from a sweep.",
      "  stac train tuner --table out/sweep/segments.csv --test-clip kochi --output tuner.json\n",
      [options] { return RunTrainTuner(*options); });
  TunerTrainOptions& network = options->train;
  command->add_option("--table", options->table, "Segment table (stac sweep)")->required();
  command->add_option("--output", options->output, "Weights (JSON)")->required();
  command->add_option("--test-clip", options->test_clips,
                      "Clip that is kept for testing; repeatable");
  command->add_option("--system", options->system, "Curve of the table")->capture_default_str();
  command->add_option("--bits", options->bits, "Bits that the bandwidth limits")
      ->check(CLI::IsMember({"uplink", "total"}))
      ->capture_default_str();
  command->add_flag("--scale", options->scale, "Choose the size of what is coded, too");
  command->add_option("--hidden", network.hidden, "Widths of the hidden layers")
      ->check(CLI::Range(1, 1024))
      ->expected(1, static_cast<int>(TunerNetwork::kMaxLayers) - 1)
      ->capture_default_str();
  command->add_option("--steps", network.steps, "Training steps")
      ->check(CLI::Range(1, 10'000'000))
      ->capture_default_str();
  command->add_option("--batch", network.batch, "Pairs per step")
      ->check(CLI::Range(1, 1'000'000))
      ->capture_default_str();
  command->add_option("--learning-rate", network.learning_rate, "At the first step")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command
      ->add_option("--area", options->area_log2,
                   "Pictures vary from half to 2^AREA times the area of the table's")
      ->check(CLI::Range(0.0, 10.0))
      ->capture_default_str();
  command->add_option("--vary-bits", options->bits_log2, "All bits of a pair vary by 2^+-this")
      ->check(CLI::Range(0.0, 4.0))
      ->capture_default_str();
  command
      ->add_option("--vary-content", options->content_log2,
                   "c and d vary by 2^+-this, each for itself")
      ->check(CLI::Range(0.0, 4.0))
      ->capture_default_str();
  command->add_option("--share", options->share, "Of the bandwidth, in the closing table")
      ->check(CLI::Range(0.1, 1.0))
      ->capture_default_str();
  command->add_option("--seed", network.seed, "Of weights and pairs")->capture_default_str();
  command->add_option("--log", network.log, "Losses as CSV");
}

}  // namespace stac
