#include <torch/nn/functional/vision.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "stac/base/check.h"
#include "stac/lab/train/batch_internal.h"
#include "stac/lab/train/losses_internal.h"
#include "stac/lab/train/pictures_internal.h"
#include "stac/lab/train/random_internal.h"

namespace stac {
namespace {

// A label for each cell of stride x stride pixels of the crop: that of the source pixel at its
// centre.
torch::Tensor CropLabels(const TrainSample& sample, int x0, int y0, int width, int height,
                         int64_t out_width, int64_t out_height) {
  torch::Tensor out = torch::full({out_height, out_width}, kUnknownLabel, torch::kLong);
  if (!sample.has_labels()) return out;
  auto cells = out.accessor<int64_t, 2>();
  for (int64_t y = 0; y < out_height; ++y)
    for (int64_t x = 0; x < out_width; ++x) {
      const auto sy = y0 + (2 * y + 1) * height / (2 * out_height);
      const auto sx = x0 + (2 * x + 1) * width / (2 * out_width);
      cells[y][x] = sample.labels[static_cast<size_t>(sy) * sample.width + sx];
    }
  return out;
}

// Turns a picture or a map of labels [1,...,H,W] about its centre. Pictures are mirrored at their
// borders; labels from beyond are unknown.
torch::Tensor Rotate(const torch::Tensor& x, double degrees) {
  namespace F = torch::nn::functional;
  const double angle = degrees * std::acos(-1) / 180;
  const bool labels = x.scalar_type() == torch::kLong;
  const auto c = static_cast<float>(std::cos(angle)), s = static_cast<float>(std::sin(angle));
  const auto height = static_cast<float>(x.size(-2)), width = static_cast<float>(x.size(-1));
  const torch::Tensor turn =
      torch::tensor({c, s * height / width, 0.F, -s * width / height, c, 0.F}).view({1, 2, 3});
  // Beyond its borders grid_sample finds 0, which stands for unknown here.
  const torch::Tensor source = labels ? (x - kUnknownLabel).to(torch::kFloat).unsqueeze(1) : x;
  const torch::Tensor grid = F::affine_grid(turn, source.sizes().vec(), false);
  auto options = F::GridSampleFuncOptions().align_corners(false);
  if (labels)
    options.mode(torch::kNearest).padding_mode(torch::kZeros);
  else
    options.mode(torch::kBilinear).padding_mode(torch::kReflection);
  const torch::Tensor turned = F::grid_sample(source, grid, options);
  return labels ? turned.squeeze(1).round().to(torch::kLong) + kUnknownLabel : turned;
}

// Darkens what lies on one side of a random line, with a soft border, as a shadow does.
torch::Tensor Shade(const torch::Tensor& rgb, double most, Random& random) {
  const double angle = random.Between(0, 2 * std::acos(-1)), distance = random.Between(-0.5, 0.5);
  const double taken = random.Between(0, most), softness = random.Between(0.005, 0.2);
  const torch::Tensor y = torch::linspace(-0.5, 0.5, rgb.size(2)).view({-1, 1});
  const torch::Tensor x = torch::linspace(-0.5, 0.5, rgb.size(3));
  const torch::Tensor side = y * std::sin(angle) + x * std::cos(angle) - distance;
  return rgb * (1 - taken * (side / softness).sigmoid());
}

torch::Tensor JitterColors(torch::Tensor rgb, const AugmentSpec& spec, Random& random) {
  const auto factor = [&random](double range) {
    return std::exp(random.Between(-1, 1) * std::log1p(range));
  };
  const double brightness = factor(spec.brightness), contrast = factor(spec.contrast);
  const double saturation = factor(spec.saturation);
  const double red = factor(spec.tint), blue = factor(spec.tint);
  rgb = rgb * torch::tensor({static_cast<float>(brightness * red), static_cast<float>(brightness),
                             static_cast<float>(brightness * blue)})
                  .view({1, 3, 1, 1});
  if (spec.contrast > 0) {
    const torch::Tensor mean = rgb.mean();
    rgb = (rgb - mean) * contrast + mean;
  }
  if (spec.saturation > 0) {
    const torch::Tensor grey = rgb.mean(1, true);
    rgb = (rgb - grey) * saturation + grey;
  }
  return rgb.clamp_(0, 1);
}

}  // namespace

BatchMaker::BatchMaker(const TrainRecipe& recipe, const std::vector<TrainSample>& samples,
                       CodecNoise codec_noise)
    : recipe_(recipe), samples_(samples), codec_noise_(std::move(codec_noise)) {
  STAC_CHECK(!samples.empty());
  any_labels_ = std::any_of(samples.begin(), samples.end(),
                            [](const TrainSample& s) { return s.has_labels(); });
  if (recipe.rare_share > 0 || recipe.augment.thing_share > 0)
    rare_ = std::make_unique<RareClasses>(samples, recipe.classes);
}

size_t BatchMaker::SampleAt(int64_t position) const {
  const auto count = static_cast<int64_t>(samples_.size());
  const int64_t pass = position / count;
  if (pass != pass_) {
    order_.resize(samples_.size());
    std::iota(order_.begin(), order_.end(), 0);
    Random random(recipe_.seed, 0x5EED0000u + static_cast<uint64_t>(pass));
    for (int64_t i = count - 1; i > 0; --i) std::swap(order_[i], order_[random.Below(i + 1)]);
    pass_ = pass;
  }
  return order_[position % count];
}

std::optional<RareClasses::Place> BatchMaker::RarePlaceAt(int64_t position) const {
  if (!rare_ || rare_->empty()) return std::nullopt;
  Random random(recipe_.seed, 0x4A4Eu ^ static_cast<uint64_t>(position) << 16);
  if (random.Uniform() >= recipe_.rare_share) return std::nullopt;
  return rare_->Draw(random);
}

Result<BatchMaker::Picture> BatchMaker::Augmented(int64_t position) const {
  const auto rare = RarePlaceAt(position);
  const TrainSample& sample = samples_[rare ? rare->sample : SampleAt(position)];
  Random random(recipe_.seed, static_cast<uint64_t>(position) << 16);
  const AugmentSpec& spec = recipe_.augment;

  // The part of the picture that fills the crop, aligned to the teacher's cells.
  double scale = spec.scale_min * std::pow(spec.scale_max / spec.scale_min, random.Uniform());
  scale = std::max({scale, static_cast<double>(recipe_.crop_width) / sample.width,
                    static_cast<double>(recipe_.crop_height) / sample.height});
  const auto aligned = [](double size, int limit) {
    return std::clamp(static_cast<int>(std::lround(size / kTeacherStride)) * kTeacherStride,
                      kTeacherStride, limit);
  };
  const int width = aligned(recipe_.crop_width / scale, sample.width);
  const int height = aligned(recipe_.crop_height / scale, sample.height);
  // Anywhere in the picture, or anywhere around the rare place.
  const auto start = [&random](int size, int whole, std::optional<int> within) {
    const int first = within ? std::max(0, *within + kTeacherStride - size) : 0;
    const int last = within ? std::min(whole - size, *within) : whole - size;
    return first +
           static_cast<int>(random.Below((last - first) / kTeacherStride + 1)) * kTeacherStride;
  };
  const int x0 = start(width, sample.width, rare ? std::optional(rare->x) : std::nullopt);
  const int y0 = start(height, sample.height, rare ? std::optional(rare->y) : std::nullopt);
  const bool flip = random.Uniform() < 0.5 && spec.flip;

  std::vector<uint8_t> coded;
  const std::vector<uint8_t>* pixels = &sample.rgb;
  if (random.Uniform() < spec.codec_share) {
    const int qp = spec.codec_qp_min +
                   static_cast<int>(random.Below(spec.codec_qp_max - spec.codec_qp_min + 1));
    coded = sample.rgb;
    STAC_RETURN_IF_ERROR(codec_noise_(sample.width, sample.height, qp, coded));
    pixels = &coded;
  }

  Picture out;
  out.rgb = PartOf(*pixels, sample.width, x0, y0, width, height);
  out.rgb = JitterColors(Resize(out.rgb, recipe_.crop_height, recipe_.crop_width), spec, random);
  if (spec.shade > 0) out.rgb = Shade(out.rgb, spec.shade, random);
  if (sample.has_teacher()) {
    const int s = kTeacherStride;
    const torch::Tensor part =
        torch::from_blob(const_cast<uint8_t*>(sample.teacher.data()),
                         {sample.teacher_classes, sample.height / s, sample.width / s},
                         torch::kUInt8)
            .narrow(1, y0 / s, height / s)
            .narrow(2, x0 / s, width / s)
            .to(torch::kFloat)
            .contiguous()
            .unsqueeze(0);
    out.teacher = Resize(part, recipe_.crop_height / s, recipe_.crop_width / s).clamp_min_(0);
    out.teacher = out.teacher / out.teacher.sum(1, true).clamp_min_(1e-3);
  }
  if (any_labels_) {
    const int stride = recipe_.distilled() ? kTeacherStride : recipe_.loss_stride;
    out.labels = CropLabels(sample, x0, y0, width, height, recipe_.crop_width / stride,
                            recipe_.crop_height / stride)
                     .unsqueeze(0);
  }
  if (spec.rotate > 0) {
    const double degrees = random.Between(-spec.rotate, spec.rotate);
    for (torch::Tensor* map : {&out.rgb, &out.teacher, &out.labels})
      if (map->defined()) *map = Rotate(*map, degrees);
  }
  if (flip) {
    for (torch::Tensor* map : {&out.rgb, &out.teacher, &out.labels})
      if (map->defined()) *map = map->flip({-1});
  }
  return out;
}

// Which class is where says the teacher, asked about the other picture as it was.
void BatchMaker::Paste(int64_t step, std::vector<Picture>& pictures) const {
  if (recipe_.augment.paste_share == 0) return;
  Random random(recipe_.seed, 0xC1A55u ^ static_cast<uint64_t>(step) << 16);
  const std::vector<Picture> before = pictures;
  for (size_t i = 0; i < pictures.size(); ++i) {
    if (random.Uniform() >= recipe_.augment.paste_share) continue;
    const Picture& other = before[(i + pictures.size() / 2) % pictures.size()];
    torch::Tensor chosen = torch::zeros({recipe_.classes});
    for (int k = 0; k < recipe_.classes; ++k) chosen[k] = random.Uniform() < 0.5 ? 1 : 0;
    const torch::Tensor pasted =
        chosen.index_select(0, other.teacher.argmax(1).flatten()).view_as(other.teacher[0][0]);
    pictures[i].rgb = before[i].rgb.lerp(
        other.rgb,
        Resize(pasted.unsqueeze(0).unsqueeze(0), recipe_.crop_height, recipe_.crop_width));
    if (any_labels_)
      pictures[i].labels = before[i].labels.where(pasted.unsqueeze(0) == 0, other.labels);
  }
}

Thing BatchMaker::CutOutRare(Random& random) const {
  const RareClasses::Place place = rare_->Draw(random);
  return CutOut(samples_[place.sample], rare_->cells(place.sample), place);
}

// One to four things of rare classes, each from any picture, a third to twice as large and in other
// colours, or drawn.
void BatchMaker::AddThings(int64_t position, Picture& picture) const {
  const AugmentSpec& spec = recipe_.augment;
  if (spec.thing_share == 0 || rare_->empty()) return;
  Random random(recipe_.seed, 0x7419u ^ static_cast<uint64_t>(position) << 16);
  if (random.Uniform() >= spec.thing_share) return;
  for (int64_t left = 1 + random.Below(4); left > 0; --left) {
    const bool drawn = random.Uniform() < spec.drawn_lights;
    Thing thing = drawn ? DrawTrafficLight(random) : CutOutRare(random);
    thing.rgb = JitterColors(thing.rgb, spec, random);
    if (random.Uniform() < 0.5 && spec.flip) thing = {thing.rgb.flip({-1}), thing.mask.flip({-1})};
    const double scale = std::pow(6, random.Uniform()) / (drawn ? 10 : 3);
    PasteOnto(picture.rgb, picture.labels, thing, scale, random);
  }
}

// Blends the next picture of the batch, as it was, into some of them.
void BatchMaker::Mix(int64_t step, std::vector<Picture>& pictures) const {
  if (recipe_.augment.mix_share == 0) return;
  Random random(recipe_.seed, 0x313Du ^ static_cast<uint64_t>(step) << 16);
  const torch::Tensor first = pictures.front().rgb;
  for (size_t i = 0; i < pictures.size(); ++i) {
    if (random.Uniform() >= recipe_.augment.mix_share) continue;
    const torch::Tensor& other = i + 1 < pictures.size() ? pictures[i + 1].rgb : first;
    pictures[i].rgb = pictures[i].rgb.lerp(other, random.Between(0, 0.5));
    if (pictures[i].labels.defined())
      pictures[i].labels = torch::full_like(pictures[i].labels, kUnknownLabel);
  }
}

Result<TrainBatch> BatchMaker::Make(int64_t step) const {
  std::vector<Picture> pictures;
  for (int i = 0; i < recipe_.batch; ++i) {
    STAC_ASSIGN_OR_RETURN(Picture picture, Augmented(step * recipe_.batch + i));
    pictures.push_back(std::move(picture));
  }
  Paste(step, pictures);
  for (int i = 0; i < recipe_.batch; ++i) AddThings(step * recipe_.batch + i, pictures[i]);
  Mix(step, pictures);
  const auto stacked = [&pictures](torch::Tensor Picture::*map) {
    std::vector<torch::Tensor> maps;
    for (const Picture& picture : pictures)
      if ((picture.*map).defined()) maps.push_back(picture.*map);
    return maps.empty() ? torch::Tensor() : torch::cat(maps);
  };
  return TrainBatch{stacked(&Picture::rgb), stacked(&Picture::labels), stacked(&Picture::teacher)};
}

}  // namespace stac
