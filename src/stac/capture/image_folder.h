#pragma once

#include <filesystem>
#include <memory>

#include "stac/base/result.h"
#include "stac/capture/frame_source.h"

namespace stac {

// Pictures of a folder in name order, as bt709/limited frames. Layouts, by name:
//   CamVid      DIR/images/NAME.png with DIR/labels/NAME.png (DIR or DIR/images may be given), or
//               DIR/NAME.png with DIRannot/NAME.png; label values are taken as they are, so the
//               void class of CamVid stays 11;
//   Cityscapes  .../leftImg8bit/SPLIT/CITY/X_leftImg8bit.png (any of these folders may be given,
//               or the one above) with .../gtFine/SPLIT/CITY/X_gtFine_labelTrainIds.png, or
//               X_gtFine_labelIds.png, which is mapped to train ids (the rest: kUnlabelled);
//   otherwise   every PNG or JPEG in the folder, without labels.
// Hidden files (.NAME) are left out. All pictures must have the size of the first. One that viewers
// turn (EXIF) is taken as coded, which is logged once. Labels that cannot be read are logged and
// left out.
Result<std::unique_ptr<FrameSource>> OpenImageFolder(const std::filesystem::path& folder,
                                                     const SourceOptions& options = {});

}  // namespace stac
