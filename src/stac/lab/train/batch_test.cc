#include <gmock/gmock.h>

#include <cmath>

#include "stac/lab/train/batch_loader_internal.h"
#include "stac/lab/train/test_batches.h"

namespace stac {
namespace {

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

TEST(BatchMaker, RareThingsArePastedOntoTheirShareOfThePictures) {
  // All is black and of class 0, but for one white thing of class 1 in one picture of ten.
  std::vector<TrainSample> samples(10, {.width = 64, .height = 64});
  for (TrainSample& sample : samples) {
    sample.rgb.assign(64 * 64 * 3, 0);
    sample.labels.assign(64 * 64, 0);
  }
  for (int y = 24; y < 40; ++y)
    for (int x = 24; x < 40; ++x) {
      samples[3].labels[y * 64 + x] = 1;
      std::fill_n(samples[3].rgb.begin() + (y * 64 + x) * 3, 3, 255);
    }
  TrainRecipe recipe = Tiny();
  recipe.classes = 2;
  const auto share_shown = [&](double thing_share) {
    recipe.augment = {.thing_share = thing_share};
    const BatchMaker maker(recipe, samples, {});
    int shown = 0;
    constexpr int kSteps = 150;
    for (int step = 0; step < kSteps; ++step) {
      const TrainBatch batch = MustMake(maker, step);
      for (const torch::Tensor& picture : batch.rgb.unbind(0))
        shown += picture.max().item<float>() > 0.9;
    }
    return shown / (double{kSteps} * recipe.batch);
  };
  EXPECT_NEAR(share_shown(0), 0.1, 0.001);
  // A black thing of class 0 hides it at times.
  const double half = share_shown(0.5);
  EXPECT_GT(half, 0.3);
  EXPECT_LT(half, 0.6);
  EXPECT_GT(share_shown(1), 1.5 * half);
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

}  // namespace
}  // namespace stac
