#include <gmock/gmock.h>
#include <torch/script.h>

#include <cmath>
#include <filesystem>
#include <sstream>

#include "stac/base/file.h"
#include "stac/base/test_folder.h"
#include "stac/capture/image_io.h"
#include "stac/lab/train/agreement.h"
#include "stac/lab/train/batch_loader_internal.h"
#include "stac/lab/train/checkpoint_internal.h"
#include "stac/lab/train/dataset.h"
#include "stac/lab/train/test_recipe.h"
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

TrainBatch MustMake(const BatchMaker& maker, int64_t step) {
  auto batch = maker.Make(step);
  EXPECT_TRUE(batch);
  return batch.value_or(TrainBatch{});
}

TrainRecipe Tiny() { return *ParseTrainRecipe(kTinyRecipe); }
std::vector<TrainSample> TinySamples(const TrainRecipe& recipe) {
  return *LoadTrainData(recipe, recipe.data);
}

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
  const torch::Tensor rgb = MustMake(BatchMaker(recipe, samples, {}), 0).rgb;
  const auto state = MakeTrainState(recipe, rgb, torch::kCPU);
  ASSERT_TRUE(state) << state.error().message;
  const auto bytes = ReadFile(recipe.initial);
  torch::NoGradGuard no_grad;
  const torch::Tensor expected = DecodeStacnet(*bytes)->network->Forward(rgb)[0];
  for (SegmentationNetwork* network : {state->network.get(), state->average.get()})
    EXPECT_LT((network->Forward(rgb)[0] - expected).abs().max().item<double>(),
              1e-3 * expected.abs().max().item<double>());

  // Half of the first network's weights, half of what a second run makes of it.
  const auto weights = [&](const char* name) {
    const auto file = ReadFile(folder_ / name / "network.stacnet");
    return DecodeStacnet(*file)->network->parameters();
  };
  const auto first = weights("first"), second = weights("second"), half = weights("half");
  for (size_t i = 0; i < half.size(); ++i)
    EXPECT_TRUE(torch::allclose(half[i], (first[i] + second[i]) / 2, 1e-3, 1e-3)) << i;

  recipe.classes = 11;
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

TEST(BatchMaker, DependsOnSeedAndStepOnlyAndVisitsEverySample) {
  TrainRecipe recipe = Tiny();
  const auto samples = TinySamples(recipe);
  const BatchMaker one(recipe, samples, {}), other(recipe, samples, {});
  const TrainBatch first = MustMake(one, 4);
  ASSERT_TRUE(other.Make(0));
  ASSERT_TRUE(other.Make(2));
  const TrainBatch again = MustMake(other, 4);
  EXPECT_TRUE(first.rgb.equal(again.rgb));
  EXPECT_TRUE(first.labels.equal(again.labels));
  EXPECT_FALSE(first.rgb.equal(MustMake(one, 5).rgb));
  EXPECT_EQ(first.rgb.sizes(), (std::vector<int64_t>{2, 3, 64, 64}));

  // Without augmentation, and with crops of the whole picture, one pass holds each picture once.
  recipe.augment = {};
  recipe.crop_width = 96;
  std::vector<torch::Tensor> seen;
  for (int step = 0; step < 6; ++step)
    for (const torch::Tensor& picture : MustMake(one, step).rgb.unbind(0)) {
      for (const torch::Tensor& before : seen) EXPECT_FALSE(before.equal(picture));
      seen.push_back(picture);
    }
  EXPECT_EQ(seen.size(), 12u);
}

TEST(BatchMaker, LabelsAndTeacherFollowThePicture) {
  // The label of a pixel is its column's quarter; the picture and the teacher show the same.
  TrainSample sample{.width = 64, .height = 64};
  sample.teacher_classes = 4;
  sample.teacher.resize(4 * 16 * 16);
  for (int y = 0; y < 64; ++y)
    for (int x = 0; x < 64; ++x) {
      sample.labels.push_back(static_cast<uint8_t>(x / 16));
      for (int c = 0; c < 3; ++c) sample.rgb.push_back(static_cast<uint8_t>(x / 16 * 80));
      sample.teacher[((x / 16) * 16 + y / 4) * 16 + x / 4] = 255;
    }
  TrainRecipe recipe = Tiny();
  recipe.classes = 4;
  recipe.teachers = {{"unused", 1}};
  recipe.augment = {.scale_min = 1.0, .scale_max = 1.7, .flip = true};
  recipe.batch = 16;
  const std::vector<TrainSample> samples = {sample};
  const TrainBatch batch = MustMake(BatchMaker(recipe, samples, {}), 0);
  const torch::Tensor shown = (batch.rgb.select(1, 0) * 255 / 80)
                                  .slice(1, 2, 64, 4)
                                  .slice(2, 2, 64, 4);  // near the centres of the 4x4 cells
  const torch::Tensor taught = batch.teacher.argmax(1);
  const double cells = static_cast<double>(taught.numel());
  EXPECT_GT((taught == batch.labels).sum().item<double>() / cells, 0.95);
  EXPECT_GT(((shown - batch.labels).abs() < 0.5).sum().item<double>() / cells, 0.95);
  EXPECT_LT((batch.teacher.sum(1) - 1).abs().max().item<double>(), 1e-4);
}

TEST(BatchMaker, MixedPicturesAreBlendsWhoseLabelsDoNotCount) {
  TrainRecipe recipe = Tiny();
  recipe.augment = {};
  recipe.loss_stride = 4;
  const auto samples = TinySamples(recipe);
  const TrainBatch plain = MustMake(BatchMaker(recipe, samples, {}), 0);
  recipe.augment.mix_share = 1;
  const TrainBatch mixed = MustMake(BatchMaker(recipe, samples, {}), 0);
  EXPECT_TRUE((mixed.labels == 255).all().item<bool>());
  // Two pictures to a batch: each is the other one's partner, and keeps at least half of itself.
  const torch::Tensor change = mixed.rgb - plain.rgb, difference = plain.rgb.flip({0}) - plain.rgb;
  for (int i = 0; i < 2; ++i) {
    const double share =
        ((change[i] * difference[i]).sum() / difference[i].square().sum()).item<double>();
    EXPECT_GT(share, 0);
    EXPECT_LE(share, 0.5);
    EXPECT_TRUE(torch::allclose(change[i], share * difference[i], 1e-3, 1e-5)) << i;
  }
}

TEST(BatchMaker, PastedClassesBringTheirPixelsAndLabels) {
  // One picture is black and of class 0, the other one white and of class 1.
  std::vector<TrainSample> samples;
  for (const uint8_t label : {0, 1}) {
    TrainSample sample{.width = 64, .height = 64};
    sample.labels.assign(64 * 64, label);
    sample.rgb.assign(64 * 64 * 3, label * 255);
    sample.teacher_classes = 2;
    sample.teacher.assign(2 * 16 * 16, 0);
    std::fill_n(sample.teacher.begin() + label * 16 * 16, 16 * 16, 255);
    samples.push_back(sample);
  }
  TrainRecipe recipe = Tiny();
  recipe.classes = 2;
  recipe.teachers = {{"unused", 1}};
  recipe.augment = {.paste_share = 1};
  const BatchMaker maker(recipe, samples, {});
  int pasted = 0;
  for (int step = 0; step < 20; ++step) {
    const TrainBatch batch = MustMake(maker, step);
    const torch::Tensor shown = batch.rgb.mean({1, 2, 3}), labels = batch.labels.flatten(1);
    for (int i = 0; i < 2; ++i) {  // all of the other picture or nothing
      EXPECT_TRUE((labels[i] == labels[i][0]).all().item<bool>());
      EXPECT_NEAR(shown[i].item<double>(), labels[i][0].item<double>(), 1e-6);
    }
    pasted += labels[0][0].equal(labels[1][0]) ? 1 : 0;  // one was, the other was not
  }
  EXPECT_GT(pasted, 4);
  EXPECT_LT(pasted, 16);
}

TEST(BatchMaker, CropsShowTheRareClassThatWasDrawn) {
  // One picture in twenty has a spot of class 1, in a corner that few crops reach.
  std::vector<TrainSample> samples(20, {.width = 256, .height = 256});
  for (TrainSample& sample : samples) {
    sample.rgb.assign(256 * 256 * 3, 0);
    sample.labels.assign(256 * 256, 0);
  }
  for (int y = 240; y < 256; ++y)
    for (int x = 0; x < 16; ++x) samples[7].labels[y * 256 + x] = 1;
  TrainRecipe recipe = Tiny();
  recipe.classes = 2;
  recipe.augment = {.scale_min = 0.8, .scale_max = 1.2};
  const auto share_shown = [&](double rare_share) {
    recipe.rare_share = rare_share;
    const BatchMaker maker(recipe, samples, {});
    int shown = 0;
    constexpr int kSteps = 100;
    for (int step = 0; step < kSteps; ++step)
      shown += (MustMake(maker, step).labels == 1).flatten(1).any(1).sum().item<int>();
    return shown / (double{kSteps} * recipe.batch);
  };
  EXPECT_LT(share_shown(0), 0.02);
  // The spot has 16 of 81,920 cells: a weight of 1000^.5 beside the other class's 1.
  const double all = std::sqrt(1e3) / (std::sqrt(1e3) + 1);
  EXPECT_NEAR(share_shown(1), all, 0.04);
  EXPECT_NEAR(share_shown(0.5), all / 2, 0.1);
}

TEST(BatchMaker, TurnedPicturesKeepTheirLabels) {
  // Right of the middle it is white and of class 1.
  TrainSample sample{.width = 64, .height = 64};
  for (int i = 0; i < 64 * 64; ++i) {
    sample.labels.push_back(i % 64 / 32);
    sample.rgb.insert(sample.rgb.end(), 3, i % 64 < 32 ? 0 : 255);
  }
  TrainRecipe recipe = Tiny();
  recipe.augment = {.rotate = 45};
  recipe.batch = 16;
  const std::vector<TrainSample> samples = {sample};
  const TrainBatch batch = MustMake(BatchMaker(recipe, samples, {}), 0);
  const torch::Tensor white = batch.rgb.select(1, 0) > 0.5, known = batch.labels != 255;
  const double inside = known.sum().item<double>();
  EXPECT_GT(((white == (batch.labels == 1)) & known).sum().item<double>() / inside, 0.98);
  // The corners come from outside, though not all of them: a circle always stays.
  const double share = inside / static_cast<double>(known.numel());
  EXPECT_LT(share, 0.99);
  EXPECT_GT(share, 0.8);
  EXPECT_FALSE(batch.labels[0].equal(batch.labels[1]));
}

TEST(BatchMaker, ShadesDarkenAPartOfThePicture) {
  TrainSample sample{.width = 64, .height = 64};
  sample.rgb.assign(64 * 64 * 3, 200);
  TrainRecipe recipe = Tiny();
  recipe.augment = {.shade = 0.8};
  recipe.batch = 16;
  const std::vector<TrainSample> samples = {sample};
  const torch::Tensor rgb = MustMake(BatchMaker(recipe, samples, {}), 0).rgb * (255.0 / 200);
  EXPECT_LE(rgb.max().item<double>(), 1 + 1e-5);
  EXPECT_GE(rgb.min().item<double>(), 0.2 - 1e-5);
  const torch::Tensor darkest = rgb.flatten(1).amin(1), lightest = rgb.flatten(1).amax(1);
  EXPECT_GT((lightest - darkest).max().item<double>(), 0.3);
  EXPECT_LT(darkest.min().item<double>(), 0.6);
}

TEST(BatchLoader, GivesTheSameBatchesForAnyNumberOfWorkers) {
  const TrainRecipe recipe = Tiny();
  const auto samples = TinySamples(recipe);
  const BatchMaker maker(recipe, samples, {});
  for (const int workers : {0, 1, 3}) {
    BatchLoader loader(recipe, samples, {}, 2, 9, workers);
    for (int64_t step = 2; step < 9; ++step) {
      const auto batch = loader.Next();
      ASSERT_TRUE(batch);
      EXPECT_TRUE(batch->rgb.equal(MustMake(maker, step).rgb)) << workers << " " << step;
    }
  }
}

TEST(BatchLoader, MayEndWithBatchesThatNobodyWanted) {
  const TrainRecipe recipe = Tiny();
  const auto samples = TinySamples(recipe);
  BatchLoader loader(recipe, samples, {}, 0, 1000, 2);
  EXPECT_TRUE(loader.Next());
}

TEST(BatchMaker, CodecNoiseIsForItsShareOfThePictures) {
  TrainRecipe recipe = Tiny();
  const auto samples = TinySamples(recipe);
  recipe.augment = {.codec_share = 0.5, .codec_qp_min = 30, .codec_qp_max = 33};
  std::vector<int> qps;
  const BatchMaker maker(recipe, samples, [&](int width, int height, int qp, auto& rgb) {
    EXPECT_EQ(rgb.size(), static_cast<size_t>(width) * height * 3);
    qps.push_back(qp);
    return OkStatus();
  });
  for (int step = 0; step < 60; ++step) ASSERT_TRUE(maker.Make(step));
  EXPECT_GT(qps.size(), 40u);
  EXPECT_LT(qps.size(), 80u);
  EXPECT_THAT(qps, ::testing::Each(::testing::AllOf(::testing::Ge(30), ::testing::Le(33))));
  const BatchMaker broken(recipe, samples,
                          [](int, int, int, auto&) -> Status { return Fail("no encoder"); });
  bool failed = false;
  for (int step = 0; step < 20; ++step) failed |= !broken.Make(step);
  EXPECT_TRUE(failed);
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
