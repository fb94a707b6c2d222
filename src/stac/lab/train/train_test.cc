#include <gmock/gmock.h>
#include <torch/script.h>

#include <filesystem>
#include <sstream>

#include "stac/base/file.h"
#include "stac/base/test_folder.h"
#include "stac/capture/image_io.h"
#include "stac/lab/train/agreement.h"
#include "stac/lab/train/checkpoint_internal.h"
#include "stac/lab/train/test_batches.h"
#include "stac/lab/train/trainer.h"
#include "stac/segment/networks/stacnet_internal.h"

namespace stac {
namespace {

using ::testing::HasSubstr;
namespace fs = std::filesystem;

class Train : public ::testing::Test {
 protected:
  // Trains in a folder of its own; the checkpoint's bytes are what resuming must reproduce.
  TrainReport MustTrain(const TrainRecipe& recipe, const std::vector<TrainSample>& samples,
                        const std::string& name, int64_t stop_before = -1) {
    const auto report = TrainNetwork(recipe, samples, samples,
                                     {.folder = folder_ / name,
                                      .resume = true,
                                      .stop_before = stop_before,
                                      .show_progress = false});
    EXPECT_TRUE(report) << report.error().message;
    return report.value_or(TrainReport{});
  }

  const TestFolder test_folder_;
  const fs::path folder_ = test_folder_.path();
};

std::vector<torch::Tensor> WeightsIn(const fs::path& checkpoint, const TrainRecipe& recipe) {
  TrainState state = *MakeTrainState(recipe, {}, torch::kCPU);
  const Status status = LoadCheckpoint(checkpoint, recipe, state);
  EXPECT_TRUE(status) << status.error().message;
  std::vector<torch::Tensor> all = state.network->parameters();
  for (const auto& tensors :
       {state.network->buffers(), state.average->parameters(), state.average->buffers()})
    all.insert(all.end(), tensors.begin(), tensors.end());
  return all;
}

TEST_F(Train, TwoPassesLowerTheLossAndAResumedRunEndsWithTheSameWeights) {
  TrainRecipe recipe = Tiny();
  const auto samples = TinySamples(recipe);
  ASSERT_EQ(samples.size(), 12u);

  const TrainReport whole = MustTrain(recipe, samples, "whole");
  EXPECT_TRUE(whole.finished);
  EXPECT_EQ(whole.steps, 12);
  EXPECT_GT(whole.mean_iou, 0);

  MustTrain(recipe, samples, "parts", 3);
  MustTrain(recipe, samples, "parts", 8);
  EXPECT_FALSE(fs::exists(folder_ / "parts" / "network.stacnet"));
  MustTrain(recipe, samples, "parts");
  std::istringstream log{std::string(AsText(*ReadFile(folder_ / "parts" / "log.csv")))};
  std::vector<int> logged;
  std::string line;
  for (std::getline(log, line); std::getline(log, line);) logged.push_back(std::atoi(line.c_str()));
  EXPECT_EQ(logged, (std::vector<int>{3, 8, 12}));
  const auto a = WeightsIn(folder_ / "whole" / "checkpoint.pt", recipe);
  const auto b = WeightsIn(folder_ / "parts" / "checkpoint.pt", recipe);
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) EXPECT_TRUE(a[i].equal(b[i])) << i;
  EXPECT_EQ(*ReadFile(folder_ / "whole" / "network.stacnet"),
            *ReadFile(folder_ / "parts" / "network.stacnet"));

  // The loss on the same pictures, unchanged by augmentation, before and after.
  const auto loss = [&](SegmentationNetwork& network) {
    TrainRecipe plain = recipe;
    plain.augment = {};
    plain.loss_stride = 4;
    const TrainBatch batch = MustMake(BatchMaker(plain, samples, {}), 0);
    return torch::nll_loss2d(network.Forward(batch.rgb)[0].log_softmax(1), batch.labels, {},
                             at::Reduction::Mean, 255)
        .item<double>();
  };
  torch::NoGradGuard no_grad;
  TrainState before = *MakeTrainState(recipe, {}, torch::kCPU),
             after = *MakeTrainState(recipe, {}, torch::kCPU);
  ASSERT_TRUE(LoadCheckpoint(folder_ / "whole" / "checkpoint.pt", recipe, after));
  EXPECT_LT(loss(*after.network), 0.9 * loss(*before.network));
}

TEST_F(Train, ATrainedNetworkIsTrainedOn) {
  TrainRecipe recipe = Tiny();
  const auto samples = TinySamples(recipe);
  MustTrain(recipe, samples, "first");
  recipe.initial = folder_ / "first" / "network.stacnet";
  MustTrain(recipe, samples, "second");
  recipe.initial_share = 0.5;
  MustTrain(recipe, samples, "half");
  TrainRecipe averaging = recipe;
  averaging.initial_share = 0;
  averaging.averages = {{recipe.initial.string(), 0.5},
                        {(folder_ / "half" / "network.stacnet").string(), 0.25}};
  MustTrain(averaging, samples, "quarter");
  const torch::Tensor rgb = MustMake(BatchMaker(recipe, samples, {}), 0).rgb;
  const auto state = MakeTrainState(recipe, rgb, torch::kCPU);
  ASSERT_TRUE(state) << state.error().message;
  const auto bytes = ReadFile(recipe.initial);
  torch::NoGradGuard no_grad;
  const torch::Tensor expected = DecodeStacnet(*bytes)->network->Forward(rgb)[0];
  for (SegmentationNetwork* network : {state->network.get(), state->average.get()})
    EXPECT_LT((network->Forward(rgb)[0] - expected).abs().max().item<double>(),
              1e-3 * expected.abs().max().item<double>());

  // Half of the first network's weights, half of what a second run makes of it, and a mean of
  // three.
  const auto weights = [&](const char* name) {
    const auto file = ReadFile(folder_ / name / "network.stacnet");
    return DecodeStacnet(*file)->network->parameters();
  };
  const auto first = weights("first"), second = weights("second"), half = weights("half");
  const auto quarter = weights("quarter");
  for (size_t i = 0; i < half.size(); ++i) {
    EXPECT_TRUE(torch::allclose(half[i], (first[i] + second[i]) / 2, 1e-3, 1e-3)) << i;
    EXPECT_TRUE(torch::allclose(quarter[i], first[i] / 2 + half[i] / 4 + second[i] / 4, 1e-3, 1e-3))
        << i;
  }

  recipe.classes = 11;
  averaging.classes = 11;
  const auto unlike = LoadAverages(averaging);
  ASSERT_FALSE(unlike);
  EXPECT_THAT(unlike.error().message, HasSubstr("edge with 19 classes, the recipe wants"));
  const auto refused = MakeTrainState(recipe, rgb, torch::kCPU);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("edge with 19 classes, the recipe wants"));
}

TEST_F(Train, AForeignOrBrokenCheckpointIsRefusedAndKept) {
  TrainRecipe recipe = Tiny();
  const auto samples = TinySamples(recipe);
  MustTrain(recipe, samples, "run", 1);
  const fs::path file = folder_ / "run" / "checkpoint.pt";
  const Bytes good = *ReadFile(file);
  const auto train = [&](bool resume) {
    return TrainNetwork(recipe, samples, {},
                        {.folder = folder_ / "run", .resume = resume, .show_progress = false});
  };
  EXPECT_THAT(train(false).error().message, HasSubstr("there already"));

  recipe.classes = 20;
  EXPECT_THAT(train(true).error().message, HasSubstr("another output folder"));
  recipe.classes = 19;
  recipe.ema_decay = 0;
  EXPECT_THAT(train(true).error().message, HasSubstr("ema_decay"));
  recipe.ema_decay = 0.9;
  EXPECT_EQ(*ReadFile(file), good);

  for (const size_t size : {size_t{0}, size_t{100}, good.size() / 2, good.size() - 1}) {
    ASSERT_TRUE(WriteFile(file, ByteSpan(good).first(size)));
    const auto result = train(true);
    ASSERT_FALSE(result) << size;
    EXPECT_THAT(result.error().message, HasSubstr("broken or cut off")) << size;
    EXPECT_EQ(ReadFile(file)->size(), size);
  }
}

TEST_F(Train, ASaveThatFailsKeepsTheCheckpoint) {
  const TrainRecipe recipe = Tiny();
  const TrainState state = *MakeTrainState(recipe, {}, torch::kCPU);
  const fs::path file = folder_ / "checkpoint.pt";
  ASSERT_TRUE(SaveCheckpoint(file, recipe, state));
  const Bytes good = *ReadFile(file);
  // A folder in the way of the parent: nothing can be written there.
  EXPECT_FALSE(SaveCheckpoint(file / "below" / "checkpoint.pt", recipe, state));
  EXPECT_EQ(*ReadFile(file), good);
}

TEST_F(Train, PastingNeedsTheTeachersAnswers) {
  TrainRecipe recipe = Tiny();
  const auto samples = TinySamples(recipe);
  recipe.augment.paste_share = 0.5;
  const auto report = TrainNetwork(recipe, samples, {}, {.folder = folder_ / "x"});
  ASSERT_FALSE(report);
  EXPECT_THAT(report.error().message, HasSubstr("augment.paste_share"));
}

TEST_F(Train, BadDataIsSaid) {
  TrainRecipe recipe = Tiny();
  recipe.classes = 5;  // the street has labels up to 18
  EXPECT_THAT(LoadTrainData(recipe, recipe.data).error().message, HasSubstr("outside"));

  recipe.data = {{.kind = "camvid", .path = (folder_ / "empty").string()}};
  ASSERT_TRUE(MakeFolder(folder_ / "empty"));
  EXPECT_THAT(LoadTrainData(recipe, recipe.data).error().message, HasSubstr("no PNG or JPEG"));

  ASSERT_TRUE(WritePng(folder_ / "one" / "images" / "a.png", RgbImage(32, 32)));
  recipe.data = {{.kind = "camvid", .path = (folder_ / "one").string()}};
  recipe.classes = 19;
  EXPECT_THAT(LoadTrainData(recipe, recipe.data).error().message, HasSubstr("no labels"));
  recipe.classes = 7;
  EXPECT_THAT(LoadTrainData(recipe, recipe.data).error().message, HasSubstr("11 or 19"));

  recipe = Tiny();
  EXPECT_FALSE(TrainNetwork(recipe, {}, {}, {.folder = folder_}));
  recipe.augment.codec_share = 0.5;
  EXPECT_THAT(TrainNetwork(recipe, TinySamples(recipe), {}, {.folder = folder_}).error().message,
              HasSubstr("STAC_DEVICE"));
}

TEST_F(Train, CamVidLabelsBecomeCityscapesClasses) {
  ASSERT_TRUE(WritePng(folder_ / "images" / "a.png", RgbImage(16, 16)));
  LabelMap labels(16, 16, 3);  // road
  for (int x = 0; x < 12; ++x) labels(x, 0) = static_cast<uint8_t>(x);
  ASSERT_TRUE(WritePng(folder_ / "labels" / "a.png", labels));
  TrainRecipe recipe = Tiny();
  recipe.data = {{.kind = "camvid", .path = folder_.string()}};
  const auto samples = LoadTrainData(recipe, recipe.data);
  ASSERT_TRUE(samples) << samples.error().message;
  const std::vector<uint8_t> expected = {10, 2, 5, 0, 1, 8, 7, 4, 13, 11, 255, 255, 0};
  EXPECT_EQ(std::vector<uint8_t>((*samples)[0].labels.begin(), (*samples)[0].labels.begin() + 13),
            expected);
}

TEST_F(Train, TeachersAreAskedOnceAndMixedByWeight) {
  // Two teachers that always answer with probabilities (0.8, 0.2) and (0.2, 0.8).
  std::vector<TeacherSpec> teachers;
  for (const double first : {0.8, 0.2}) {
    torch::jit::Module module("constant");
    module.define(fmt::format(R"(
def forward(self, x):
    one = torch.ones_like(x[:, 0:1])
    return torch.cat([one * {}, one * {}], 1)
)",
                              std::log(first), std::log(1 - first)));
    const fs::path file = folder_ / fmt::format("teacher{}.pt", first);
    ASSERT_TRUE(MakeFolder(folder_));
    module.save(file.string());
    teachers.push_back({file.string(), first == 0.8 ? 3.0 : 1.0});
  }
  TrainRecipe recipe = Tiny();
  recipe.classes = 2;
  recipe.teachers = teachers;
  recipe.labels_loss = 0;
  auto samples = TinySamples(recipe);
  Status status = Distil(recipe, folder_ / "cache", samples);
  ASSERT_TRUE(status) << status.error().message;
  // (3 * 0.8 + 0.2) / 4 = 0.65 -> 165.75 of 255
  EXPECT_EQ(samples[0].teacher.front(), 166);
  EXPECT_EQ(samples[0].teacher.back(), 89);
  EXPECT_EQ(samples[0].teacher.size(), 2u * (96 / 4) * (64 / 4));

  auto again = TinySamples(recipe);
  const auto time = fs::last_write_time(fs::directory_iterator(folder_ / "cache")->path());
  ASSERT_TRUE(Distil(recipe, folder_ / "cache", again));
  EXPECT_EQ(again[0].teacher, samples[0].teacher);
  EXPECT_EQ(fs::last_write_time(fs::directory_iterator(folder_ / "cache")->path()), time);

  // A live teacher is asked about the crops as they are, and its answers are not kept.
  auto live = Tiny();
  live.classes = 2;
  live.teachers = teachers;
  live.labels_loss = 0;
  live.steps = 2;
  auto unlabelled = TinySamples(live);
  EXPECT_FALSE(TrainNetwork(live, unlabelled, {}, {.folder = folder_ / "taught"}));
  live.live_teacher = true;
  const auto taught =
      TrainNetwork(live, unlabelled, {}, {.folder = folder_ / "taught", .show_progress = false});
  ASSERT_TRUE(taught) << taught.error().message;
  // A network that knows nothing answers (0.5, 0.5): its cross-entropy is log 2.
  EXPECT_NEAR(taught->first_loss, std::log(2.0), 0.05);

  recipe.classes = 3;
  EXPECT_THAT(Distil(recipe, "", samples).error().message, HasSubstr("change network.classes"));
  recipe.teachers = {{(folder_ / "nothing.pt").string(), 1}};
  EXPECT_THAT(Distil(recipe, "", samples).error().message, HasSubstr("cannot load the teacher"));
}

TEST(ShippedNetwork, AgreesWithItsTeacherOnHeldOutPictures) {
  const auto data = DataFolder();
  if (data.empty()) GTEST_SKIP() << "skipped: no STAC_DATA";
  auto network = LoadSegmenter((fs::path(STAC_SOURCE_DIR) / "assets/edge_city19.stacnet").string());
  ASSERT_TRUE(network) << network.error().message;
  auto teacher = LoadSegmenter((data / "models/deeplab_edge_city.pt").string());
  ASSERT_TRUE(teacher) << teacher.error().message;
  auto clip = OpenSource((data / "camvid/seq_0016E5_15fps").string(), {.frame_step = 34});
  ASSERT_TRUE(clip) << clip.error().message;
  const auto agreement = MeasureAgreement(**clip, **teacher, **network);
  ASSERT_TRUE(agreement) << agreement.error().message;
  EXPECT_EQ(agreement->frames, 3);
  EXPECT_GT(agreement->pixel_accuracy, 0.8);
}

}  // namespace
}  // namespace stac
