#include "stac/lab/train/recipe.h"

#include <gmock/gmock.h>

#include <cstdlib>
#include <filesystem>

#include "stac/lab/train/sample.h"
#include "stac/lab/train/test_recipe.h"

namespace stac {
namespace {

using ::testing::HasSubstr;
namespace fs = std::filesystem;

TEST(Recipe, ErrorsNameTheKey) {
  const auto error = [](const std::string& from, const std::string& to) {
    std::string text = kTinyRecipe;
    text.replace(text.find(from), from.size(), to);
    const auto recipe = ParseTrainRecipe(text);
    return recipe ? std::string("no error") : recipe.error().message;
  };
  EXPECT_THAT(error("steps = 12", "steps = 0"), HasSubstr("train.steps"));
  EXPECT_THAT(error("steps = 12", "step = 12"), HasSubstr("no key \"step\""));
  EXPECT_THAT(error("batch = 2", "batch = 2.5"), HasSubstr("train.batch"));
  EXPECT_THAT(error("crop_width = 64", "crop_width = 70"), HasSubstr("multiples of 32"));
  EXPECT_THAT(error("[augment]", "[augmentation]"), HasSubstr("no table"));
  EXPECT_THAT(error("flip = true", "flip = 1"), HasSubstr("augment.flip"));
  EXPECT_THAT(error("scale_max = 1.2", "scale_max = 0.2"), HasSubstr("scale_min"));
  EXPECT_THAT(error("kind = \"synthetic\"", "kind = \"film\""), HasSubstr("data.kind"));
  EXPECT_THAT(error("[[data]]", "[data]"), HasSubstr("[[data]]"));
  for (const char* table : {"network", "train", "augment"}) {
    const std::string name(table);
    EXPECT_THAT(error("[" + name + "]", "[[" + name + "]]"), HasSubstr("one [" + name + "] table"));
  }
  EXPECT_THAT(error("[augment]", "[loss]\nlive_teacher = true\n[augment]"),
              HasSubstr("[[teacher]]"));
  EXPECT_THAT(error("flip = true", "mix_share = 0.5"), HasSubstr("live_teacher"));
  EXPECT_THAT(error("flip = true", "paste_share = 0.5"), HasSubstr("live_teacher"));
  EXPECT_THAT(error("flip = true", "thing_share = 0.5"), HasSubstr("live_teacher"));
  EXPECT_THAT(error("flip = true", "drawn_lights = 0.5"), HasSubstr("augment.thing_share"));
  EXPECT_THAT(error("tint = 0.1", "rotate = 9\n[[teacher]]\nfile = \"net.pt\""),
              HasSubstr("augment.rotate"));
  EXPECT_THAT(error("classes = 19", "classes = 19\ninitial_share = 0.5"),
              HasSubstr("network.initial_share"));
  EXPECT_THAT(error("classes = 19", "classes = 19\ncontrast_limit = 27"),
              HasSubstr("network.contrast_limit"));
  EXPECT_THAT(error("[augment]",
                    "[[average]]\nfile = \"a\"\nshare = 0.7\n[[average]]\nfile = \"b\"\n"
                    "share = 0.4\n[augment]"),
              HasSubstr("1.1, more than 1"));
  EXPECT_THAT(error("seed = 3", "seed = = 3"), HasSubstr("line"));
  EXPECT_THAT(error("kind = \"synthetic\"\npath = \"96x64@15:2\"",
                    "kind = \"video\"\npath = \"${STAC_NOT_SET_ANYWHERE}/a.mp4\""),
              HasSubstr("STAC_NOT_SET_ANYWHERE"));
}

TEST(Recipe, WhatAVariableHoldsIsNoVariable) {
  setenv("STAC_RECIPE_TEST", "x${STAC_RECIPE_TEST}", /*overwrite=*/1);
  std::string text = kTinyRecipe;
  const std::string data = "kind = \"synthetic\"\npath = \"96x64@15:2\"";
  text.replace(text.find(data), data.size(),
               "kind = \"video\"\npath = \"${STAC_RECIPE_TEST}/${STAC_RECIPE_TEST}.mp4\"");
  const auto recipe = ParseTrainRecipe(text, "/");
  ASSERT_TRUE(recipe) << recipe.error().message;
  EXPECT_EQ(recipe->data.front().path, "/x${STAC_RECIPE_TEST}/x${STAC_RECIPE_TEST}.mp4");
}

TEST(Recipe, TheShippedOnesAreValid) {
  setenv("STAC_DATA", "/data", /*overwrite=*/0);
  for (int stage = 1; stage <= 7; ++stage) {
    const auto shipped = ReadTrainRecipe(fs::path(STAC_SOURCE_DIR) / "assets" / "edge_city19" /
                                         fmt::format("stage{}.toml", stage));
    ASSERT_TRUE(shipped) << shipped.error().message;
    EXPECT_EQ(shipped->classes, 19);
    EXPECT_TRUE(shipped->distilled());
  }
  for (const char* name : {"bisenet", "drn_d_22", "drn_d_38"}) {
    const auto recipe = ReadTrainRecipe(fs::path(STAC_SOURCE_DIR) / "experiments" /
                                        fmt::format("train_{}_camvid.toml", name));
    ASSERT_TRUE(recipe) << recipe.error().message;
    EXPECT_EQ(recipe->classes, 11);
    EXPECT_FALSE(recipe->distilled());
  }
}

TEST(Recipe, TheLearningRateWarmsUpAndFallsToZero) {
  TrainRecipe recipe;
  recipe.learning_rate = 1;
  recipe.steps = 100;
  recipe.warmup_steps = 10;
  recipe.poly_power = 1;
  EXPECT_DOUBLE_EQ(LearningRate(recipe, 0), 0.1);
  EXPECT_DOUBLE_EQ(LearningRate(recipe, 9), 1);
  EXPECT_DOUBLE_EQ(LearningRate(recipe, 50), 0.5);
  EXPECT_DOUBLE_EQ(LearningRate(recipe, 100), 0);
}

TEST(Sample, RoundTripAndBrokenBytes) {
  TrainSample sample{.width = 8, .height = 4, .rgb = std::vector<uint8_t>(96, 7)};
  sample.labels.assign(32, 1);
  sample.teacher_classes = 3;
  sample.teacher.assign(6, 9);
  const Bytes bytes = EncodeSample(sample);
  const auto back = DecodeSample(bytes);
  ASSERT_TRUE(back);
  EXPECT_EQ(back->rgb, sample.rgb);
  EXPECT_EQ(back->labels, sample.labels);
  EXPECT_EQ(back->teacher, sample.teacher);
  for (size_t size = 0; size < bytes.size(); size += 5)
    EXPECT_FALSE(DecodeSample(ByteSpan(bytes).first(size)));
  Bytes huge = bytes;
  huge[10] = 0xff;  // the width
  EXPECT_FALSE(DecodeSample(huge));
}

}  // namespace
}  // namespace stac
