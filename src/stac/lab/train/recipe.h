#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "stac/base/result.h"

namespace stac {

// One source of pictures: a video, a CamVid folder, a Cityscapes folder or the synthetic scene.
struct TrainDataSpec {
  std::string kind;      // "video", "camvid", "cityscapes", "synthetic"
  std::string path;      // as OpenSource takes it; for "synthetic": WIDTHxHEIGHT@FPS[:SEED]
  std::string exclude;   // folders: pictures whose file name contains this are left out
  int step = 1;          // every n-th picture
  int first = 0;         // number of the first picture
  int max_pictures = 0;  // 0: all
  int max_width = 0;     // pictures are scaled down to this width; 0: as they are
};

struct TeacherSpec {
  std::string file;   // TorchScript
  double weight = 1;  // share in the mean of the class probabilities
};

struct AugmentSpec {
  double scale_min = 1;
  double scale_max = 1;
  bool flip = false;
  double brightness = 0;  // each: largest relative change, 0..1
  double contrast = 0;
  double saturation = 0;
  double tint = 0;
  double rotate = 0;  // largest angle, degrees
  double shade = 0;   // how much a shadow over a random half of the picture takes at most, 0..1
  double codec_share = 0;  // share of the pictures that are coded by x264 first
  int codec_qp_min = 20;
  int codec_qp_max = 40;
  // Share of the pictures into which another one is blended; their human labels do not count.
  double mix_share = 0;
  // Share of the pictures onto which half of the classes of another one are pasted, where they
  // stand there (ClassMix, Olsson et al. 2021): things in places where nobody saw them.
  double paste_share = 0;
  // Share of the pictures onto which things of rare classes are pasted anywhere, smaller or larger
  // than they are (thing_internal.h).
  double thing_share = 0;
  double drawn_lights = 0;  // share of those things that are drawn traffic lights instead
};

// A weight file of the same network, and its share of the weights that are saved at the end: an
// average of several on one path of training is often better than each (Wortsman et al. 2022,
// model soups).
struct AverageSpec {
  std::string file;  // .stacnet
  double share = 0;
};

// How a network is trained: the contents of a recipe file. See docs/networks.md for the file.
struct TrainRecipe {
  std::string network = "edge";
  int classes = 19;
  std::filesystem::path
      initial;  // weights to start from (import_weights_internal.h); empty: random
  // Share of the initial weights in those that are saved at the end (Wortsman et al. 2022,
  // WiSE-FT): between the two lies what is nearly as good on the new pictures and better on all
  // others.
  double initial_share = 0;
  double contrast_limit = 0;  // of the pictures that the network looks at; 0: none

  uint64_t seed = 1;
  int64_t steps = 1000;
  int batch = 8;
  int crop_width = 320;  // multiples of 32
  int crop_height = 256;
  double learning_rate = 1e-3;
  double weight_decay = 1e-4;
  double poly_power = 0.9;
  int64_t warmup_steps = 100;
  double rare_share = 0;  // share of the crops that show a rare class (rare_classes_internal.h)
  double ema_decay = 0;   // of the averaged weights that are validated and saved; 0: no averaging
  int64_t checkpoint_every = 500;
  int64_t validate_every = 0;   // 0: at the end only
  bool mixed_precision = true;  // bfloat16, where the device is fast with it
  std::string device = "auto";  // "auto", "cpu", "cuda"

  double teacher_loss = 1;    // weight of the cross-entropy against the teachers' probabilities
  double labels_loss = 1;     // weight of the cross-entropy against human labels
  double auxiliary_loss = 1;  // weight of each auxiliary head's loss
  // The teachers are asked about each picture as the network sees it, cropped and changed, and not
  // once about the picture as it is: "a good teacher is patient and consistent" (Beyer et al.
  // 2022). Takes longer than a step of a small network.
  bool live_teacher = false;
  // The teachers' probabilities are raised to this power, which makes them surer: what counts is
  // the label, and a small network that copies doubts names rare classes too seldom.
  double sharpen = 1;
  double balance = 0;  // 0..1: how much more the teacher counts where its classes are rare
  // The loss is taken at 1/loss_stride of the crop's size: 1, 2 or 4; with a teacher always 4.
  int loss_stride = 1;

  AugmentSpec augment;
  std::vector<AverageSpec> averages;
  std::vector<TeacherSpec> teachers;
  std::vector<TrainDataSpec> data;
  std::vector<TrainDataSpec> validation;

  bool distilled() const { return !teachers.empty(); }
  // Whether the teachers must be asked about the pictures as they are.
  bool asks_beforehand() const {
    return distilled() &&
           (!live_teacher || augment.paste_share > 0 || augment.thing_share > 0 || rare_share > 0);
  }
  bool uses_labels() const { return labels_loss > 0; }
  std::string text;  // of the file, kept with the results
};

// Reads and checks a recipe (TOML). "${NAME}" in paths is replaced by the environment variable
// NAME; relative paths start at the recipe's folder. Unknown keys and values out of range are
// errors that name the key.
Result<TrainRecipe> ReadTrainRecipe(const std::filesystem::path& file);
// The same from text; relative paths start at `folder`.
Result<TrainRecipe> ParseTrainRecipe(const std::string& text,
                                     const std::filesystem::path& folder = ".");

// The learning rate of a step (from 0): a linear warm-up, then rate * (1 - t)^power.
double LearningRate(const TrainRecipe& recipe, int64_t step);

}  // namespace stac
