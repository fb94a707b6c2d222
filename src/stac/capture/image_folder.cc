#include "stac/capture/image_folder.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "stac/base/log.h"
#include "stac/capture/frame_scale.h"
#include "stac/capture/image_io.h"

namespace stac {
namespace {

namespace fs = std::filesystem;

struct Picture {
  fs::path image;
  fs::path labels;              // empty: none
  bool cityscapes_ids = false;  // labels are full ids, not train ids
};

constexpr std::string_view kCityscapesEnd = "_leftImg8bit.png";

bool EndsWith(const std::string& text, std::string_view end) {
  return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

bool IsPicture(const fs::path& path) {
  std::string extension = path.extension().string();
  for (char& c : extension) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return extension == ".png" || extension == ".jpg" || extension == ".jpeg";
}

// Where labels of a plain or CamVid folder lie, or an empty path.
fs::path LabelFolder(const fs::path& images) {
  std::error_code ignored;
  if (images.filename() == "images" && fs::is_directory(images.parent_path() / "labels", ignored)) {
    return images.parent_path() / "labels";
  }
  fs::path annotations = images;
  annotations += "annot";
  return fs::is_directory(annotations, ignored) ? annotations : fs::path();
}

// The label file of a Cityscapes picture: gtFine in place of the last folder named leftImg8bit.
void FindCityscapesLabels(Picture& picture) {
  std::vector<fs::path> parts(picture.image.begin(), picture.image.end());
  const auto part = std::find(parts.rbegin(), parts.rend(), fs::path("leftImg8bit"));
  if (part == parts.rend()) return;
  *part = "gtFine";
  std::string name = parts.back().string();
  name.resize(name.size() - kCityscapesEnd.size());
  fs::path folder;
  for (size_t i = 0; i + 1 < parts.size(); ++i) folder /= parts[i];
  std::error_code ignored;
  if (const fs::path file = folder / (name + "_gtFine_labelTrainIds.png");
      fs::exists(file, ignored)) {
    picture.labels = file;
  } else if (const fs::path ids = folder / (name + "_gtFine_labelIds.png");
             fs::exists(ids, ignored)) {
    picture.labels = ids;
    picture.cityscapes_ids = true;
  }
}

// Train id of each of the 34 Cityscapes ids, from the data set's published table.
uint8_t TrainId(uint8_t id) {
  static constexpr uint8_t kNo = kUnlabelled;
  static constexpr std::array<uint8_t, 34> kTrainIds = {
      kNo, kNo, kNo, kNo, kNo, kNo, kNo, 0,  1,  kNo, kNo, 2,  3,   4,   kNo, kNo, kNo,
      5,   kNo, 6,   7,   8,   9,   10,  11, 12, 13,  14,  15, kNo, kNo, 16,  17,  18};
  return id < kTrainIds.size() ? kTrainIds[id] : kNo;
}

Result<std::vector<Picture>> ListPictures(const fs::path& given) {
  std::error_code error;
  fs::path folder = fs::absolute(given, error).lexically_normal();
  if (!folder.has_filename()) folder = folder.parent_path();
  std::vector<Picture> pictures;
  if (fs::is_directory(folder / "images", error)) {
    folder /= "images";
  } else if (fs::is_directory(folder / "leftImg8bit", error)) {
    folder /= "leftImg8bit";
  }
  const auto walk = [&pictures](auto begin, auto&& keep, std::error_code& status) {
    for (auto it = std::move(begin); !status && it != decltype(it)(); it.increment(status)) {
      std::error_code ignored;
      // macOS leaves ._a.png beside a.png, which is no picture.
      const bool hidden = it->path().filename().native().starts_with('.');
      if (!hidden && it->is_regular_file(ignored) && keep(it->path())) {
        pictures.push_back({it->path()});
      }
    }
  };
  walk(
      fs::recursive_directory_iterator(folder, fs::directory_options::skip_permission_denied,
                                       error),
      [](const fs::path& path) { return EndsWith(path.string(), kCityscapesEnd); }, error);
  const bool cityscapes = !pictures.empty();
  if (!error && !cityscapes) walk(fs::directory_iterator(folder, error), IsPicture, error);
  if (error) return Fail("cannot list {}: {}", folder.string(), error.message());
  if (pictures.empty()) {
    return Fail("{} holds no PNG or JPEG pictures; give a folder that does", folder.string());
  }
  std::sort(pictures.begin(), pictures.end(),
            [](const Picture& a, const Picture& b) { return a.image < b.image; });
  const fs::path labels = cityscapes ? fs::path() : LabelFolder(folder);
  for (Picture& picture : pictures) {
    if (cityscapes) {
      FindCityscapesLabels(picture);
    } else if (!labels.empty()) {
      picture.labels = labels / picture.image.filename().replace_extension(".png");
      if (!fs::exists(picture.labels, error)) picture.labels.clear();
    }
  }
  return pictures;
}

class ImageFolder final : public FrameSource {
 public:
  static Result<std::unique_ptr<FrameSource>> Open(const fs::path& folder,
                                                   const SourceOptions& options) {
    STAC_ASSIGN_OR_RETURN(std::vector<Picture> all, ListPictures(folder));
    if (options.max_frames == 0)
      return Fail("none of the pictures in {} is asked for", folder.string());
    if (!options.exclude.empty()) {
      std::erase_if(all, [&](const Picture& picture) {
        return picture.image.filename().string().find(options.exclude) != std::string::npos;
      });
      if (all.empty()) {
        return Fail("every picture in {} has \"{}\" in its name, which is to be left out",
                    folder.string(), options.exclude);
      }
    }
    auto source = std::make_unique<ImageFolder>();
    const auto step = static_cast<size_t>(std::max(options.frame_step, 1));
    for (auto i = static_cast<size_t>(std::max<int64_t>(options.first_frame, 0)); i < all.size();
         i += step) {
      if (options.max_frames >= 0 &&
          static_cast<int64_t>(source->pictures_.size()) >= options.max_frames) {
        break;
      }
      source->pictures_.push_back(std::move(all[i]));
    }
    if (source->pictures_.empty()) {
      return Fail("{} holds {} pictures, fewer than the {} to be skipped; start earlier",
                  folder.string(), all.size(), options.first_frame);
    }
    STAC_ASSIGN_OR_RETURN(const RgbImage first, ReadImage(source->pictures_[0].image));
    if (first.width() < 16 || first.height() < 16) {
      return Fail("{} is {}x{}; pictures must be at least 16x16",
                  source->pictures_[0].image.string(), first.width(), first.height());
    }
    source->picture_size_ = {first.width(), first.height()};
    source->cropped_ = {EvenFloor(first.width()), EvenFloor(first.height())};
    source->delivered_ = FitInto(source->cropped_, options.max_width, options.max_height);
    if (source->picture_size_ != source->cropped_) {
      spdlog::info("{}: {}x{} is cropped to the even size {}x{}", folder.string(), first.width(),
                   first.height(), source->cropped_.width, source->cropped_.height);
    }
    source->info_ = {
        .width = source->delivered_.width,
        .height = source->delivered_.height,
        .fps = (options.folder_fps > 0 ? options.folder_fps : 15) / static_cast<double>(step),
        .color = {},
        .frame_count = static_cast<int64_t>(source->pictures_.size()),
        .name = NameOf(folder)};
    return source;
  }

  const SourceInfo& info() const override { return info_; }

  Result<std::optional<Frame>> Next() override {
    if (next_ == pictures_.size()) return std::nullopt;
    const Picture& picture = pictures_[next_];
    int orientation = 1;
    STAC_ASSIGN_OR_RETURN(const RgbImage image, ReadImage(picture.image, &orientation));
    if (orientation != 1 && !std::exchange(turn_reported_, true)) {
      spdlog::warn("{}: viewers turn it (EXIF orientation {}); here pictures are taken as coded",
                   picture.image.string(), orientation);
    }
    if (picture_size_ != Size{image.width(), image.height()}) {
      return Fail("{} is {}x{}, but the pictures before it are {}x{}; use pictures of one size",
                  picture.image.string(), image.width(), image.height(), picture_size_.width,
                  picture_size_.height);
    }
    Frame frame = ShrinkFrame(FrameFromRgb(image, info_.color), delivered_);
    frame.id = static_cast<FrameId>(next_);
    frame.pts = std::llround(static_cast<double>(next_) * 1e6 / info_.fps);
    ++next_;
    return frame;
  }

  std::optional<LabelMap> Labels() override {
    if (next_ == 0 || pictures_[next_ - 1].labels.empty()) return std::nullopt;
    const Picture& picture = pictures_[next_ - 1];
    Result<LabelMap> labels = ReadLabelPng(picture.labels);
    if (!labels) {
      spdlog::warn("labels left out: {}", labels.error().message);
      return std::nullopt;
    }
    if (!labels->SameSize(picture_size_.width, picture_size_.height)) {
      spdlog::warn("labels left out: {} is {}x{}, its picture {}x{}", picture.labels.string(),
                   labels->width(), labels->height(), picture_size_.width, picture_size_.height);
      return std::nullopt;
    }
    if (picture.cityscapes_ids) {
      for (uint8_t& label : *labels) label = TrainId(label);
    }
    return ShrinkLabels(CropLabels(*labels, cropped_), delivered_);
  }

 private:
  static std::string NameOf(const fs::path& folder) {
    fs::path path = fs::absolute(folder).lexically_normal();
    if (!path.has_filename() || path.filename() == "images") path = path.parent_path();
    return path.filename().string();
  }

  std::vector<Picture> pictures_;
  size_t next_ = 0;
  bool turn_reported_ = false;
  Size picture_size_, cropped_, delivered_;
  SourceInfo info_;
};

}  // namespace

Result<std::unique_ptr<FrameSource>> OpenImageFolder(const std::filesystem::path& folder,
                                                     const SourceOptions& options) {
  return ImageFolder::Open(folder, options);
}

}  // namespace stac
